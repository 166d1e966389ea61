import { exp, layerNorm, linear, reshape, tokenShift, transpose } from '@rwkv-js/core';
import { expect, test } from 'vitest';
import { declared, formatAttributes, formatProgram } from './program.ts';
import { record } from './record.ts';
import { f16, f32, i32 } from './spec.ts';

const program = record('a step', (recorder) => {
  const x = recorder.input('x', f32(4, 6));
  const offsets = recorder.input('offsets', i32(3));
  const state = recorder.state('shift', f32(2, 6));
  const normed = layerNorm(x, recorder.parameter('w', f32(6)), recorder.parameter('b', f32(6)), {
    epsilon: 1e-5,
  });
  const [shifted, next] = tokenShift(normed, state, offsets);
  recorder.update(state, next);
  const y = linear(shifted, transpose(exp(recorder.parameter('matrix', f16(6, 8)))));
  return { y, parts: reshape(y, { shape: [2, 2, 8] }) };
});

test('a program prints one line an operation', () => {
  expect(formatProgram(program)).toMatchInlineSnapshot(`
    "program a step
      input x: f32[4, 6]
      input offsets: i32[3]
      state shift: f32[2, 6]
      %5: f32[4, 6] = layerNorm(x, w, b, epsilon=0.00001)
      %6: f32[4, 6], %7: f32[2, 6] -> shift = tokenShift(%5, shift, offsets)
      %9: f32[6, 8] = exp(matrix)
      %10: f32[8, 6] = transpose(%9)
      %11: f32[4, 8] = linear(%6, %10)
      %12: f32[2, 2, 8] = reshape(%11, shape=[2, 2, 8])
      output y = %11
      output parts = %12
    "
  `);
});

test('a listing can show the lines that recorded it', () => {
  const lines = formatProgram(program, { lines: true }).split('\n');
  expect(lines.filter((line) => line.includes(' = ') && !line.includes('output '))).toHaveLength(6);
  for (const line of lines) {
    if (/^ {2}%/.test(line)) expect(line).toMatch(/ {2}\/\/ program\.test\.ts:\d+$/);
  }
});

test('declared values are found by kind', () => {
  expect([...declared(program, 'input')]).toEqual([
    ['x', f32(4, 6)],
    ['offsets', i32(3)],
  ]);
  expect([...declared(program, 'state').keys()]).toEqual(['shift']);
  expect([...declared(program, 'parameter').keys()]).toEqual(['w', 'b', 'matrix']);
});

test('attributes print by name, missing ones not at all', () => {
  const attributes = { shape: [2, 3], epsilon: 1e-5, mode: 'fast', missing: undefined };
  expect(formatAttributes(attributes)).toBe(', shape=[2, 3], epsilon=0.00001, mode=fast');
  expect(formatAttributes({})).toBe('');
});
