import { add, exp, linear, negate, openCpu } from '@rwkv-js/core';
import {
  allocateStates,
  defineOp,
  f32,
  idealKernels,
  record,
  tensor,
  type Value,
} from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { input, type ConformanceCase } from './case.ts';
import { conformanceCases } from './cases.ts';
import { diff } from './diff.ts';
import { firstDifference, runCase } from './run-case.ts';
import { formatSupport, supportOf } from './suite.ts';

/** An operation like `negate` that leaves its last element as it was. */
const forgetful = defineOp<(x: Value) => Value>({
  name: 'forgetful',
  arguments: ['x'],
  infer: ([x]) => [x!],
  reference({ inputs: [x], outputs: [y] }) {
    for (let i = 0; i < y!.data.length - 1; i++) y!.data[i] = -x!.data[i]!;
  },
});

const about = (build: (x: Value) => Value): ConformanceCase => ({
  op: 'negate',
  name: 'three',
  tolerance: 'exact',
  tensors: [input(tensor([3], [1, 2, 3]))],
  build: (x) => [build(x!)],
  updates: [],
});

describe('the conformance suite', () => {
  test('has cases for every operation that core exports', async () => {
    const core: Record<string, unknown> = await import('@rwkv-js/core');
    const operations = Object.entries(core).flatMap(([name, value]) =>
      typeof value === 'function' && 'definition' in value ? [name] : [],
    );
    const covered = new Set(conformanceCases.map(({ op }) => op));
    expect(operations.filter((name) => !covered.has(name))).toEqual([]);
  });

  test('names the first element that is farther from the oracle than it may be', async () => {
    await using device = openCpu();
    const oracle = await runCase(device, about(negate));
    const wrong = new Map([...oracle, ['output0', Float32Array.of(-1, -2, -3.5)]]);
    expect(firstDifference(about(negate), oracle, oracle)).toBeUndefined();
    expect(firstDifference(about(negate), wrong, oracle)).toBe(
      'output0[2] is -3.5; the oracle gives -3 (exact: 0)',
    );
    const short = new Map([...oracle, ['output0', Float32Array.of(-1)]]);
    expect(firstDifference(about(negate), short, oracle)).toContain('output0 has 1 elements');
    const poisoned = new Map([...oracle, ['output0', Float32Array.of(-1, NaN, -3)]]);
    expect(firstDifference(about(negate), poisoned, oracle)).toContain('output0[1] is NaN');
  });

  test('catches an element that is not written', async () => {
    await using device = openCpu();
    await expect(runCase(device, about(forgetful))).rejects.toThrow(
      /forgetful.*gave NaN as element 2/,
    );
  });

  test('tells what a table has kernels for, lowers, or lacks', () => {
    const bare = {
      ...idealKernels,
      name: 'bare',
      launch: (view: Parameters<typeof idealKernels.launch>[0]) =>
        view.definition.lower || view.definition.name === 'wkv4'
          ? undefined
          : idealKernels.launch(view),
    };
    expect(supportOf(bare).get('linearSquaredRelu (f16)')).toBe('lowered');
    expect(supportOf(bare).get('linear (f16)')).toBe('kernel');
    expect(supportOf(bare).get('wkv4 (f32)')).toBe('missing');
    expect(formatSupport([idealKernels, bare])).toContain(
      '| linearOfSparse (bf16) | kernel | lowered |',
    );
  });
});

describe('diff', () => {
  const program = record('three operations', (recorder) => {
    const x = recorder.input('x', f32(1, 2));
    const weight = recorder.state('weight', f32(2, 2));
    return { y: exp(add(linear(negate(x), weight), x)) };
  });

  test('names the first operation, output and element where two devices part', async () => {
    await using a = openCpu();
    await using b = openCpu({ precision: 'f64' });
    const [first, second] = [a, b].map((device) => allocateStates(device, [program]));
    a.write(first!.tensors.get('weight')!, Float32Array.of(1, 0, 0, 1));
    b.write(second!.tensors.get('weight')!, Float32Array.of(1, 0, 0.5, 1));
    const found = await diff(
      program,
      { x: [2, 3] },
      { device: a, states: first!.tensors },
      { device: b, states: second!.tensors },
    );
    expect(found).toMatchObject({
      operation: 1,
      name: 'linear',
      output: 0,
      element: 1,
      values: [-3, -4],
    });
    expect(found!.line).toMatch(/^conformance\.test\.ts:\d+$/);
  });

  test('finds nothing where they agree', async () => {
    await using a = openCpu();
    const states = allocateStates(a, [program]).tensors;
    expect(
      await diff(program, { x: [2, 3] }, { device: a, states }, { device: a, states }),
    ).toBeUndefined();
  });
});
