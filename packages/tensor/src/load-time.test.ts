import {
  add,
  exp,
  gatherRows,
  linear,
  multiply,
  reshape,
  tokenShift,
  transpose,
} from '@rwkv-js/core';
import { describe, expect, test } from 'vitest';
import { splitLoadTime } from './load-time.ts';
import { declared, formatProgram, type Program } from './program.ts';
import { record } from './record.ts';
import { f16, f32, i32 } from './spec.ts';

const stepParameters = (program: Program): ReturnType<typeof declared> =>
  declared(splitLoadTime(program).program, 'parameter');

describe('splitLoadTime', () => {
  test('takes out what depends on parameters alone, and keeps the rest', () => {
    const program = record('step', (recorder) => {
      const x = recorder.input('x', f32(2, 4));
      const weight = recorder.parameter('w', f16(4, 3));
      const scale = exp(exp(recorder.parameter('p', f32(3))));
      return { y: multiply(linear(x, transpose(weight)), scale) };
    });
    const { program: step, derived } = splitLoadTime(program);
    expect(step.operations.map(({ definition }) => definition.name)).toEqual([
      'linear',
      'multiply',
    ]);
    expect([...stepParameters(program)]).toEqual([
      ['exp(exp(p))', f32(3)],
      ['transpose(w)', f16(3, 4)],
    ]);
    expect([...derived.keys()]).toEqual(['transpose(w)', 'exp(exp(p))']);
    expect(formatProgram(derived.get('exp(exp(p))')!)).toMatchInlineSnapshot(`
      "program load exp(exp(p))
        %1: f32[3] = exp(p)
        %2: f32[3] = exp(%1)
        output value = %2
      "
    `);
    expect([...declared(derived.get('exp(exp(p))')!, 'parameter').keys()]).toEqual(['p']);
  });

  test('a parameter that the step reads too stays a parameter of it', () => {
    const program = record('step', (recorder) => {
      const p = recorder.parameter('p', f32(3));
      return { y: add(add(recorder.input('x', f32(3)), p), exp(p)) };
    });
    expect([...stepParameters(program).keys()]).toEqual(['p', 'exp(p)']);
  });

  test('two programs that derive the same thing give it the same name', () => {
    const of = (tokens: number): readonly string[] => [
      ...stepParameters(
        record(`step of ${tokens}`, (recorder) => {
          const unrelated = recorder.input('x', f32(tokens, 4));
          const w = recorder.parameter('w', f32(4, 3));
          return { y: linear(unrelated, transpose(w)) };
        }),
      ).keys(),
    ];
    expect(of(1)).toEqual(of(16));
  });

  test('what is made twice in the same way is one parameter', () => {
    const program = record('step', (recorder) => {
      const x = recorder.input('x', f32(3));
      const p = recorder.parameter('p', f32(3));
      return { y: multiply(multiply(x, exp(p)), exp(p)) };
    });
    const { program: step, derived } = splitLoadTime(program);
    expect(step.values.filter(({ kind }) => kind === 'parameter')).toHaveLength(1);
    expect(derived.size).toBe(1);
    const [first, second] = step.operations;
    expect(second.inputs[1]).toBe(first.inputs[1]);
  });

  test('attributes are part of the name, and so are outputs of an operation with several', () => {
    const program = record('step', (recorder) => {
      const x = recorder.input('x', f32(1, 4));
      const table = recorder.parameter('table', f32(1, 4));
      const [shifted, last] = tokenShift(
        table,
        recorder.parameter('state', f32(1, 4)),
        recorder.parameter('offsets', i32(2)),
      );
      const rows = reshape(recorder.parameter('flat', f32(4)), { shape: [1, 4] });
      return { y: add(add(add(x, shifted), last), rows) };
    });
    expect([...stepParameters(program).keys()]).toEqual([
      'tokenShift(table, state, offsets)#0',
      'tokenShift(table, state, offsets)#1',
      'reshape(flat, shape=[1, 4])',
    ]);
  });

  test('what the program gives as an output is computed at every step', () => {
    const program = record('step', (recorder) => {
      const fromParameter = exp(recorder.parameter('p', f32(3)));
      return { y: exp(fromParameter), z: add(recorder.input('x', f32(3)), fromParameter) };
    });
    const { program: step } = splitLoadTime(program);
    expect(step.operations.map(({ definition }) => definition.name)).toEqual(['exp', 'add']);
    expect([...stepParameters(program).keys()]).toEqual(['exp(p)']);
  });

  test('inputs and states are never folded', () => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(3));
      recorder.update(state, exp(state));
      const rows = gatherRows(recorder.parameter('t', f32(5, 2)), recorder.input('i', i32(1)));
      return { rows };
    });
    expect(splitLoadTime(program).program.operations).toEqual(program.operations);
    expect(splitLoadTime(program).derived.size).toBe(0);
  });

  test('a program is split once', () => {
    const program = record('step', (recorder) => ({ y: exp(recorder.input('x', f32(1))) }));
    expect(splitLoadTime(program)).toBe(splitLoadTime(program));
  });
});
