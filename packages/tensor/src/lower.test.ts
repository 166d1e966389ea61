import { add, cpuKernels, exp, multiply, openCpu, scale } from '@rwkv-js/core';
import { describe, expect, test } from 'vitest';
import type { KernelTable } from './kernel-table.ts';
import { lower } from './lower.ts';
import { defineOp } from './op.ts';
import type { Program } from './program.ts';
import { record, type Value } from './record.ts';
import { allocateStates } from './states.ts';
import { f32 } from './spec.ts';

const table = cpuKernels('f32');

/** x · x + x, and its own lowering holds another composite. */
const plusSquare = defineOp<(x: Value) => Value>({
  name: 'plusSquare',
  arguments: ['x'],
  infer: ([x]) => [x!],
  lower: ([x]) => [add(squared(x!), x!)],
});

const squared = defineOp<(x: Value) => Value>({
  name: 'squared',
  arguments: ['x'],
  infer: ([x]) => [x!],
  lower: ([x]) => [multiply(x!, x!)],
});

/** Gives the state doubled, in place, and the input untouched where there is nothing to add. */
const accumulate = defineOp<
  (inputs: readonly [x: Value, state: Value, more?: Value | undefined]) => readonly [Value, Value]
>({
  name: 'accumulate',
  arguments: ['x', 'state', 'more?'],
  infer: ([x, state]) => [x!, state!],
  lower: ([x, state, more]) => [more ? add(x!, more) : x!, scale(state!, { factor: 2 })],
  inPlace: [[1, 1]],
});

const names = ({ operations }: Program): string[] =>
  operations.map(({ definition }) => definition.name);

describe('lower', () => {
  const program = record('step', (recorder) => ({
    y: exp(plusSquare(recorder.input('x', f32(2)))),
  }));

  test('builds composites from smaller operations, and those in turn', async () => {
    const lowered = lower(program, table);
    expect(names(lowered)).toEqual(['multiply', 'add', 'exp']);
    expect(lowered.name).toBe('step');
    await using device = openCpu();
    const step = await device.compile(program);
    step.run({ x: [1, -2] });
    expect((await step.read('y')).y).toEqual(Float32Array.of(Math.exp(2), Math.exp(2)));
  });

  test('keeps those that the device has a kernel for', () => {
    const having = (...kernels: string[]): KernelTable => ({
      ...table,
      launch: (operation) =>
        kernels.includes(operation.definition.name)
          ? table.launch({ ...operation, definition: exp.definition })
          : table.launch(operation),
    });
    expect(names(lower(program, having('squared')))).toEqual(['squared', 'add', 'exp']);
    expect(lower(program, having('plusSquare'))).toBe(program);
  });

  test('what stands for a composite carries its line', () => {
    const [composite] = program.operations;
    const [first, second] = lower(program, table).operations;
    expect([first.line, second.line]).toEqual([composite.line, composite.line]);
    expect(composite.line).toMatch(/^lower\.test\.ts:/);
  });

  test('states keep their fill and their update, optional arguments may be left out', async () => {
    await using device = openCpu();
    const step = record('step', (recorder) => {
      const state = recorder.state('s', f32(1), 3);
      const x = recorder.input('x', f32(1));
      const [same, next] = accumulate([x, state]);
      recorder.update(state, next);
      const [more] = accumulate([same, next, x]);
      return { y: exp(more) };
    });
    expect(lower(step, table).states.get('s')!.fill).toBe(3);
    const { tensors } = allocateStates(device, [step]);
    const executable = await device.compile(step, { states: tensors });
    executable.run({ x: [0.5] });
    expect((await executable.read('y')).y).toEqual(Float32Array.of(Math.E));
    expect(await device.read(tensors.get('s')!)).toEqual(Float32Array.of(6));
  });
});
