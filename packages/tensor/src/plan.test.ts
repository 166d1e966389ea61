import {
  add,
  cpuKernels,
  exp,
  linear,
  multiply,
  openCpu,
  relu,
  reshape,
  scale,
  slice,
  subtract,
  sum,
  tokenShift,
  transpose,
} from '@rwkv-js/core';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { hostArray, type PlainDType } from './dtype.ts';
import { ShapeError, UsageError } from './errors.ts';
import type { KernelTable } from './kernel-table.ts';
import { splitLoadTime } from './load-time.ts';
import { defineOp, type HostTensor } from './op.ts';
import { plan, type Plan } from './plan.ts';
import type { Program } from './program.ts';
import { record, type Value } from './record.ts';
import { elementCount, f16, f32, formatSpec, i32 } from './spec.ts';

const table = cpuKernels('f32');
const withMemory = (memory: Partial<KernelTable['memory']>): KernelTable => ({
  ...table,
  memory: { ...table.memory, ...memory },
});

const names = (planned: Plan): string[] => planned.calls.map(({ kernel }) => kernel);

describe('states', () => {
  test('readers of the old value run before its writer, whatever the order of recording', () => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(2));
      recorder.update(state, scale(state, { factor: 2 }));
      const seen = reshape(state, { shape: [1, 2] });
      return { y: exp(seen), z: relu(add(state, recorder.input('x', f32(2)))) };
    });
    expect(names(plan(program, table))).toEqual(['exp', 'add', 'scale', 'relu']);
  });

  test('readers of the new value run after it', () => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(2));
      const next = scale(state, { factor: 2 });
      recorder.update(state, next);
      return { y: exp(next), z: relu(state) };
    });
    expect(names(plan(program, table))).toEqual(['relu', 'scale', 'exp']);
  });

  test('an update is written where the state lies', () => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(2));
      recorder.update(state, scale(state, { factor: 2 }));
      return {};
    });
    const planned = plan(program, table);
    const { buffer } = planned.states.get('s')!.use;
    expect(planned.calls[0].buffers.map((use) => [use.buffer, use.access])).toEqual([
      [buffer, 'readwrite'],
      [buffer, 'write'],
    ]);
  });

  test.each([
    ['add', (state: Value, x: Value) => add(state, x)],
    ['scale', (_: Value, x: Value) => scale(x, { factor: 1 })],
    ['reshape', (state: Value) => reshape(scale(state, { factor: 2 }), { shape: [2, 2] })],
  ])('an update that needs a copy is refused, by the name of its operation: %s', (name, make) => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(2, 2));
      recorder.update(state, make(state, recorder.input('x', f32(2, 2))));
      return {};
    });
    expect(() => plan(program, table)).toThrow(UsageError);
    expect(() => plan(program, table)).toThrow(
      `state 's' of program step cannot be updated where it lies: its new value comes from ${name}`,
    );
  });

  test('an update by a declared value is refused', () => {
    const program = record('step', (recorder) => {
      recorder.update(recorder.state('s', f32(2)), recorder.input('x', f32(2)));
      return {};
    });
    expect(() => plan(program, table)).toThrow('its new value comes from a declared value');
  });

  test('an update by itself changes nothing', () => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(2));
      recorder.update(state, state);
      return { y: exp(state) };
    });
    expect(names(plan(program, table))).toEqual(['exp']);
  });

  test('a writer that reads its state through another argument too is refused', () => {
    for (const other of [
      (state: Value) => state,
      (state: Value) => reshape(reshape(state, { shape: [4] }), { shape: [2, 2] }),
    ]) {
      const program = record('step', (recorder) => {
        const state = recorder.state('s', f32(2, 2));
        const [, next] = tokenShift(other(state), state, recorder.input('offsets', i32(3)));
        recorder.update(state, next);
        return {};
      });
      expect(() => plan(program, table)).toThrow(/'s' of program step cannot be updated where/);
    }
  });

  test('two states cannot take one new value', () => {
    const program = record('step', (recorder) => {
      const first = recorder.state('first', f32(2));
      const second = recorder.state('second', f32(2));
      const next = exp(first);
      recorder.update(first, next);
      recorder.update(second, next);
      return {};
    });
    expect(() => plan(program, table)).toThrow("state 'second'");
  });

  test('a reader of the old value that needs the new one too is refused', () => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(2));
      const next = exp(state);
      recorder.update(state, next);
      return { y: add(next, state) };
    });
    expect(() => plan(program, table)).toThrow(UsageError);
    expect(() => plan(program, table)).toThrow("reads a state's old value and needs its new one");
  });
});

describe('outputs', () => {
  test.each(['input', 'parameter', 'state'] as const)(
    'an %s itself, or a view of it, is refused as an output',
    (kind) => {
      for (const make of [
        (value: Value) => value,
        (value: Value) => reshape(value, { shape: [2, 1] }),
      ]) {
        const program = record('step', (recorder) => ({
          y: make(recorder[kind]('it', f32(2))),
        }));
        expect(() => plan(program, table)).toThrow(UsageError);
        expect(() => plan(program, table)).toThrow(
          `output 'y' of program step is its ${kind} 'it' itself`,
        );
      }
    },
  );

  test('the new value of a state is read from the state, not as an output', () => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(2));
      const next = exp(state);
      recorder.update(state, next);
      return { next };
    });
    expect(() => plan(program, table)).toThrow("output 'next' of program step is its state 's'");
  });

  test('one value under two names, and a view of it, share a buffer', () => {
    const program = record('step', (recorder) => {
      const y = exp(recorder.input('x', f32(4)));
      return { y, again: y, square: reshape(y, { shape: [2, 2] }) };
    });
    const { outputs, buffers } = plan(program, table);
    expect(new Set([...outputs.values()].map(({ use }) => use.buffer)).size).toBe(1);
    expect(buffers.filter(({ kind }) => kind === 'output')).toHaveLength(1);
    expect([...outputs.values()].map(({ spec }) => formatSpec(spec))).toEqual([
      'f32[4]',
      'f32[4]',
      'f32[2, 2]',
    ]);
  });

  test('an output that depends on parameters alone is computed by the step', () => {
    const program = record('step', (recorder) => ({ y: exp(recorder.parameter('p', f32(2))) }));
    expect(names(plan(program, table))).toEqual(['exp']);
  });
});

describe('what a device offers', () => {
  const product = record('step', (recorder) => ({
    y: linear(recorder.input('x', f32(2, 4)), recorder.parameter('w', f16(3, 4))),
  }));

  test('an operation without a kernel is named with its arguments, dtypes and line', () => {
    const none = { ...table, name: 'toy', launch: () => undefined };
    expect(() => plan(product, none)).toThrow(UsageError);
    expect(() => plan(product, none)).toThrow(
      /^device toy has no kernel for linear\(f32\[2, 4\], f16\[3, 4\]\) recorded at plan\.test\.ts:\d+;/,
    );
  });

  test('more buffers than a kernel can bind are refused', () => {
    expect(() => plan(product, withMemory({ bindings: 2 }))).toThrow(
      'linear takes 3 buffers and device cpu binds 2 to a kernel',
    );
    expect(names(plan(product, withMemory({ bindings: 3 })))).toEqual(['linear']);
  });

  test('an argument that is larger than a binding is refused', () => {
    expect(() => plan(product, withMemory({ largestBinding: 31 }))).toThrow(
      'linear takes f32[2, 4] and an argument of device cpu holds 31 bytes',
    );
    expect(names(plan(product, withMemory({ largestBinding: 32 })))).toEqual(['linear']);
  });

  test('a parameter that two operations want in different layouts is refused', () => {
    const both = record('step', (recorder) => {
      const p = recorder.parameter('p', f32(4, 4));
      const x = recorder.input('x', f32(4, 4));
      return { y: linear(x, p), z: multiply(x, p) };
    });
    const tiled: KernelTable = {
      ...table,
      parameterLayout: ({ name }) => (name === 'linear' ? 'tiles' : 'row-major'),
    };
    expect(() => plan(both, tiled)).toThrow(ShapeError);
    expect(() => plan(both, tiled)).toThrow(
      "parameter 'p' of program step is wanted as tiles and as row-major by multiply",
    );
    expect(plan(product, tiled).parameters.get('w')!.layout).toBe('tiles');
  });

  test('intermediate values share an arena, or have a buffer each', () => {
    const chain = record('step', (recorder) => {
      let x = recorder.input('x', f32(16));
      for (let i = 0; i < 6; i++) x = exp(x);
      return { x };
    });
    const intermediates = (memory: Partial<KernelTable['memory']>): number[] =>
      plan(chain, withMemory(memory))
        .buffers.filter(({ kind }) => kind === 'intermediate')
        .map(({ byteLength }) => byteLength);
    expect(intermediates({ arena: true })).toEqual([128]);
    expect(intermediates({ arena: false })).toEqual([64, 64, 64, 64, 64]);
    expect(intermediates({ arena: false, alignment: 100 })).toEqual([100, 100, 100, 100, 100]);
  });

  test('calls carry the cost that the table counts', () => {
    expect(plan(product, table).calls[0].cost).toEqual({
      bytesRead: 32 + 24,
      bytesWritten: 24,
      operations: 48,
    });
  });
});

const twoOutputs = defineOp<(x: Value) => readonly [doubled: Value, negated: Value]>({
  name: 'twoOutputs',
  arguments: ['x'],
  infer: ([x]) => [x!, x!],
  reference({ inputs: [x], outputs: [doubled, negated] }) {
    x!.data.forEach((element, i) => {
      doubled!.data[i] = 2 * element;
      negated!.data[i] = -element;
    });
  },
});

/** Runs a program by its reference loops alone, every value in an array of its own. */
function interpret(
  program: Program,
  given: ReadonlyMap<string, ArrayLike<number>>,
): { outputs: Map<string, HostTensor>; states: Map<string, HostTensor> } {
  const values = program.values.map(({ spec, name }): HostTensor => {
    const data = hostArray(spec.dtype as PlainDType, elementCount(spec.shape));
    if (name !== undefined) data.set(given.get(name)!);
    return { ...spec, data };
  });
  for (const { definition, inputs, outputs, attributes } of program.operations) {
    definition.reference!({
      inputs: inputs.map((id) => values[id]),
      outputs: outputs.map((id) => values[id]),
      attributes,
    });
  }
  return {
    outputs: new Map([...program.outputs].map(([name, id]) => [name, values[id]])),
    states: new Map(
      [...program.states].map(([name, { value, update }]) => [name, values[update ?? value]]),
    ),
  };
}

/** What a random program is made of: each step picks an operation and the values it takes. */
const recipes = fc.record({
  steps: fc.array(fc.record({ op: fc.nat(9), a: fc.nat(1000), b: fc.nat(1000) }), {
    minLength: 1,
    maxLength: 25,
  }),
  outputs: fc.array(fc.nat(1000), { minLength: 1, maxLength: 4 }),
  updates: fc.tuple(fc.boolean(), fc.boolean()),
  numbers: fc.array(fc.float({ min: -2, max: 2, noNaN: true }), { minLength: 7, maxLength: 7 }),
});
type Recipe = typeof recipes extends fc.Arbitrary<infer T> ? T : never;

const shape = [3, 3];

/** A program over 3 × 3 matrices: two inputs, two parameters, two states, and what the recipe says. */
function programOf(recipe: Recipe): Program {
  return record('random', (recorder) => {
    const matrix = f32(...shape);
    const states = [recorder.state('s0', matrix), recorder.state('s1', matrix)];
    const values = [
      recorder.input('x0', matrix),
      recorder.input('x1', matrix),
      recorder.parameter('p0', matrix),
      recorder.parameter('p1', matrix),
      ...states,
    ];
    const computed: Value[] = [];
    const offsets = recorder.input('offsets', i32(4));
    // Updates come first here, so that every reader of an old value must be moved before them.
    states.forEach((state, i) => {
      if (recipe.updates[i]) recorder.update(state, scale(state, { factor: 0.5 }));
    });
    for (const { op, a: at, b: bt } of recipe.steps) {
      const a = values[at % values.length];
      const b = values[bt % values.length];
      const made: readonly Value[] = [
        () => [add(a, b)],
        () => [subtract(a, b)],
        () => [multiply(a, b)],
        () => [relu(a)],
        () => [linear(a, b)],
        () => [transpose(a)],
        () => [reshape(reshape(a, { shape: [9] }), { shape })],
        () => twoOutputs(a),
        () => tokenShift(a, b, offsets),
        () => [subtract(slice(a, { axis: 0, start: 1, end: 2 }), sum(b))],
      ][op]();
      values.push(...made);
      computed.push(...made);
    }
    // Views of what is declared are no outputs; one operation more makes any value one.
    const outputs = recipe.outputs.map((at) => computed[at % computed.length]);
    return Object.fromEntries(
      outputs.map((value, i) => [`y${i}`, i % 2 === 0 ? scale(value, { factor: 1 }) : relu(value)]),
    );
  });
}

describe('random programs', () => {
  test.each([true, false])('run as planned as they do one by one, arena: %s', async (arena) => {
    await fc.assert(
      fc.asyncProperty(recipes, async (recipe) => {
        const program = programOf(recipe);
        const given = new Map<string, Float32Array | Int32Array>(
          ['x0', 'x1', 'p0', 'p1', 's0', 's1'].map((name, i) => [
            name,
            Float32Array.from({ length: 9 }, (_, e) => recipe.numbers[(i + e) % 7] / (e + 1)),
          ]),
        );
        given.set('offsets', Int32Array.of(0, 1, 1, 2));

        await using device = openCpu();
        const own = withMemory({ arena });
        Object.defineProperty(device, 'kernels', { value: own });
        const tensorOf = (name: string, data: Float32Array | Int32Array) => {
          const tensor = device.allocate(f32(...shape), { label: name });
          device.write(tensor, data);
          return tensor;
        };
        const parameters = new Map(['p0', 'p1'].map((p) => [p, tensorOf(p, given.get(p)!)]));
        const states = new Map(['s0', 's1'].map((s) => [s, tensorOf(s, given.get(s)!)]));
        for (const [name, load] of splitLoadTime(program).derived) {
          const value = interpret(load, given).outputs.get('value')!;
          parameters.set(name, device.allocate(value, { label: name }));
          device.write(parameters.get(name)!, value.data);
        }
        const executable = await device.compile(program, { parameters, states });
        const inputs = Object.fromEntries(['x0', 'x1', 'offsets'].map((x) => [x, given.get(x)!]));
        // Twice: what the first run leaves behind must not show in the second.
        for (let run = 0; run < 2; run++) {
          executable.run(inputs);
          const expected = interpret(program, given);
          const found = await executable.read(...program.outputs.keys());
          for (const [name, { data }] of expected.outputs) expect(found[name]).toEqual(data);
          for (const [name, { data }] of expected.states) {
            expect(await device.read(states.get(name)!)).toEqual(data);
            given.set(name, data as Float32Array);
          }
        }
      }),
      { seed: 4, numRuns: 150 },
    );
  });
});
