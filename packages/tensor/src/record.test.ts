import { add, exp, linear, reshape, tokenShift } from '@rwkv-js/core';
import { describe, expect, test } from 'vitest';
import { ShapeError, UsageError } from './errors.ts';
import { defineOp } from './op.ts';
import { record, type Recorder, type Value } from './record.ts';
import { f16, f32, i32 } from './spec.ts';

function recording(build: (recorder: Recorder) => void): () => void {
  return () => {
    record('test', (recorder) => {
      build(recorder);
      return {};
    });
  };
}

describe('declarations', () => {
  test('a parameter asked for twice is one value', () => {
    const program = record('test', (recorder) => {
      const first = recorder.parameter('p', f32(2));
      const again = recorder.parameter('p', f32(2));
      expect(again).toBe(first);
      return { y: add(add(recorder.input('x', f32(2)), first), again) };
    });
    expect(program.values.filter(({ kind }) => kind === 'parameter')).toHaveLength(1);
  });

  test('a parameter asked for with another spec quotes both', () => {
    const mistake = recording((recorder) => {
      recorder.parameter('p', f32(2));
      recorder.parameter('p', f16(2));
    });
    expect(mistake).toThrow(ShapeError);
    expect(mistake).toThrow("parameter 'p' was declared as f32[2] and now as f16[2]");
  });

  test.each(['input', 'parameter', 'state'] as const)(
    'one name stands for one thing: not for an input and a %s',
    (kind) => {
      const mistake = recording((recorder) => {
        recorder.input('x', f32(2));
        recorder[kind]('x', f32(2));
      });
      expect(mistake).toThrow(UsageError);
      expect(mistake).toThrow("one input, parameter or state named 'x'");
    },
  );

  test.each([[-1], [1.5], [NaN]])('a size of %d is refused', (size) => {
    const mistake = recording((recorder) => recorder.input('x', f32(size)));
    expect(mistake).toThrow(ShapeError);
    expect(mistake).toThrow(`input 'x' f32[${size}]: sizes must be whole numbers from 0`);
  });
});

describe('operations', () => {
  test('a value of another recording is refused by the operation it was given to', () => {
    let foreign: Value;
    record('first', (recorder) => {
      foreign = recorder.input('x', f32(2));
      return {};
    });
    const mistake = recording((recorder) => add(recorder.input('x', f32(2)), foreign));
    expect(mistake).toThrow(UsageError);
    expect(mistake).toThrow('add was given something that is not a value of this recording');
  });

  test('arrays and missing arguments are refused', () => {
    const unary = add as unknown as (...values: unknown[]) => Value;
    const withArray = recording((recorder) =>
      unary(recorder.input('x', f32(2)), [Float32Array.of(1, 2)]),
    );
    expect(withArray).toThrow('add was given something that is not a value');
    const withOne = recording((recorder) => unary(recorder.input('x', f32(2))));
    expect(withOne).toThrow(UsageError);
    expect(withOne).toThrow('add takes a, b and was given 1 of them');
    expect(() => unary(1)).toThrow('add was called without values');
    expect(() => unary()).toThrow('add was called without values');
  });

  test('a shape error quotes the operation, its arguments and their specs', () => {
    const mistake = recording((recorder) =>
      linear(recorder.input('x', f32(3, 4)), recorder.parameter('w', f16(8, 5))),
    );
    expect(mistake).toThrow(ShapeError);
    expect(mistake).toThrow(
      'linear(x f32[3, 4], weight f16[8, 5]): x [tokens, in] and weight [out, in] must have the same in',
    );
  });

  test('the last argument name serves all further ones', () => {
    const many = defineOp<(first: Value, rest: readonly Value[]) => Value>({
      name: 'many',
      arguments: ['first', 'rest'],
      infer: (_, __, fail) => fail('never'),
      reference() {},
    });
    const mistake = recording((recorder) => {
      const x = recorder.input('x', f32(1));
      many(x, [x, x]);
    });
    expect(mistake).toThrow('many(first f32[1], rest f32[1], rest f32[1]): never');
  });

  test('an operation that would give a shape with negative sizes is refused', () => {
    const mistake = recording((recorder) =>
      reshape(recorder.input('x', f32(8)), { shape: [-2, -4] }),
    );
    expect(mistake).toThrow(ShapeError);
    expect(mistake).toThrow('reshape(x f32[8]): sizes must be whole numbers from 0, not [-2, -4]');
  });

  test('several outputs come as an array, one as it is', () => {
    record('test', (recorder) => {
      const outputs = tokenShift(
        recorder.input('x', f32(4, 2)),
        recorder.state('s', f32(1, 2)),
        recorder.input('offsets', i32(2)),
      );
      expect(outputs.map(({ shape }) => shape)).toEqual([
        [4, 2],
        [1, 2],
      ]);
      expect(exp(outputs[0]).shape).toEqual([4, 2]);
      return {};
    });
  });

  test('every operation knows the file and line that recorded it', () => {
    const program = record('test', (recorder) => ({ y: exp(recorder.input('x', f32(1))) }));
    expect(program.operations[0].line).toMatch(/^record\.test\.ts:\d+$/);
  });
});

describe('updates', () => {
  test('a state takes one new value', () => {
    const mistake = recording((recorder) => {
      const state = recorder.state('s', f32(2));
      recorder.update(state, exp(state));
      recorder.update(state, exp(state));
    });
    expect(mistake).toThrow(UsageError);
    expect(mistake).toThrow("state 's' was updated twice");
  });

  test('the new value has the spec of the state', () => {
    const mistake = recording((recorder) => {
      recorder.update(recorder.state('s', f32(2)), recorder.input('x', f32(3)));
    });
    expect(mistake).toThrow(ShapeError);
    expect(mistake).toThrow("the new value of state 's' is f32[3]; the state is f32[2]");
  });

  test('only states are updated', () => {
    for (const make of [
      (recorder: Recorder) => recorder.input('x', f32(2)),
      (recorder: Recorder) => recorder.parameter('x', f32(2)),
      (recorder: Recorder) => exp(recorder.input('x', f32(2))),
    ]) {
      const mistake = recording((recorder) => {
        const value = make(recorder);
        recorder.update(value, value);
      });
      expect(mistake).toThrow(UsageError);
      expect(mistake).toThrow('update takes a value that state() gave');
    }
  });
});

describe('a recording that has ended', () => {
  test('takes nothing more, and its program stays as it is', () => {
    let recorder!: Recorder;
    let state!: Value;
    const program = record('test', (given) => {
      recorder = given;
      state = given.state('s', f32(2));
      return { y: exp(state) };
    });
    const before = JSON.stringify([program.values, program.operations, [...program.states]]);
    for (const late of [
      () => recorder.input('late', f32(1)),
      () => recorder.parameter('late', f32(1)),
      () => recorder.state('late', f32(1)),
      () => recorder.update(state, state),
      () => exp(state),
      () => recorder.finish('late', {}),
    ]) {
      expect(late).toThrow(UsageError);
      expect(late).toThrow('this recording has ended');
    }
    expect(JSON.stringify([program.values, program.operations, [...program.states]])).toBe(before);
  });

  test('its outputs must be its own', () => {
    const mistake = (): void => {
      record('test', () => ({ y: undefined as unknown as Value }));
    };
    expect(mistake).toThrow(UsageError);
    expect(mistake).toThrow('program test was given something that is not a value');
  });
});
