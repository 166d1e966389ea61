import { cpuKernels, gatherRows, linear, linearSquaredRelu } from '@rwkv-js/core';
import { describe, expect, test } from 'vitest';
import { lower } from './lower.ts';
import { q8, transposedDType } from './packed.ts';
import { plan } from './plan.ts';
import { record } from './record.ts';
import { rowParts } from './row-parts.ts';
import { byteLength, f16, f32, i32 } from './spec.ts';

const table = cpuKernels('f32');
const memory = { ...table.memory, byteLength };
const below = (largestBinding: number) => ({ ...table, memory: { ...memory, largestBinding } });

describe('rowParts', () => {
  test('are as few as fit, multiples of 64 rows where they can be', () => {
    const parts = rowParts(f16(1000, 8), { ...memory, largestBinding: 5000 });
    expect(parts).toEqual([
      { start: 0, end: 256 },
      { start: 256, end: 512 },
      { start: 512, end: 768 },
      { start: 768, end: 1000 },
    ]);
  });

  test('are smaller where 64 rows do not fit, and keep blocks whole', () => {
    expect(rowParts(f32(5, 8), { ...memory, largestBinding: 64 })).toEqual([
      { start: 0, end: 2 },
      { start: 2, end: 4 },
      { start: 4, end: 5 },
    ]);
    const byColumns = { dtype: transposedDType(q8), shape: [96, 4] };
    expect(rowParts(byColumns, { ...memory, largestBinding: 200 })).toEqual(
      [0, 32, 64].map((start) => ({ start, end: start + 32 })),
    );
  });

  test('are none where a single row is too large', () => {
    expect(rowParts(f32(5, 8), { ...memory, largestBinding: 31 })).toBeUndefined();
  });
});

describe('a program with a weight that no kernel can see whole', () => {
  const program = record('step', (recorder) => {
    const weight = recorder.parameter('weight', f32(6, 4));
    const tokens = recorder.input('tokens', i32(2));
    return { y: linearSquaredRelu(gatherRows(weight, tokens), weight) };
  });

  test('takes its parts instead', () => {
    const made = plan(program, below(48));
    expect(made.calls.map(({ kernel }) => kernel)).toEqual([
      'gatherRowsOfPart',
      'gatherRowsOfPart',
      'linear',
      'linear',
      'concat',
      'relu',
      'square',
    ]);
    expect([...made.parameters.keys()]).toEqual([
      'slice(weight, axis=0, start=0, end=3)',
      'slice(weight, axis=0, start=3, end=6)',
    ]);
    expect(lower(program, below(96))).toEqual(lower(program, table));
  });

  test('that is a state, or has a row too large, is refused', () => {
    const trained = record('step', (recorder) => ({
      y: linear(recorder.input('x', f32(1, 4)), recorder.state('weight', f32(6, 4))),
    }));
    expect(() => plan(trained, below(48))).toThrow('linear takes f32[6, 4] and an argument');
    const wide = record('step', (recorder) => ({
      y: linear(recorder.input('x', f32(1, 4)), recorder.parameter('weight', f32(6, 4))),
    }));
    expect(() => plan(wide, below(15))).toThrow('record it in smaller parts');
  });
});
