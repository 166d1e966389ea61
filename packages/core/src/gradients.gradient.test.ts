import {
  allocateStates,
  f32,
  formatProgram,
  gradients,
  i32,
  record,
  UsageError,
  type Program,
} from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import {
  add,
  gatherRows,
  linear,
  multiply,
  openCpu,
  scale,
  sumOfSquares,
  tanh,
  tokenShift,
} from './index.ts';

/** y = tanh(x wᵀ) shifted, times a table's rows; the table and the shift are states. */
function example(): Program {
  return record('example', (g) => {
    const x = g.input('x', f32(2, 3));
    const inner = tanh(linear(x, g.parameter('weight', f32(3, 3))));
    const shift = g.state('shift', f32(1, 3));
    const [shifted, next] = tokenShift(inner, shift, g.input('offsets', i32(2)));
    g.update(shift, next);
    const rows = gatherRows(g.state('table', f32(4, 3)), g.input('tokens', i32(2)));
    return { y: multiply(shifted, rows), inner };
  });
}

describe('a program of gradients', () => {
  test('lists the program, then its way back, then the new states', () => {
    const program = gradients(example(), { of: ['y'], wrt: ['weight', 'table'] });
    expect('\n' + formatProgram(program)).toMatchInlineSnapshot(`
      "
      program example with gradients
        input x: f32[2, 3]
        input offsets: i32[2]
        input tokens: i32[2]
        input cotangent.y: f32[2, 3]
        state shift: f32[1, 3]
        state table: f32[4, 3]
        %6: f32[2, 3] = linear(x, weight)
        %7: f32[2, 3] = tanh(%6)
        %8: f32[2, 3], %9: f32[1, 3] = tokenShift(%7, shift, offsets)
        %10: f32[2, 3] = gatherRows(table, tokens)
        %11: f32[2, 3] = multiply(%8, %10)
        %13: f32[2, 3] = accumulate(cotangent.y)
        %14: f32[2, 3] = multiply(%13, %10)
        %15: f32[2, 3] = multiply(%13, %8)
        %16: f32[4, 3] = scatterRows(%15, tokens, rows=4)
        %17: f32[1, 3] = zerosLike(shift)
        %18: f32[2, 3], %19: f32[1, 3] = tokenShiftBackward(%14, %17, offsets)
        %20: f32[2, 3] = square(%7)
        %21: f32[2, 3] = multiply(%18, %20)
        %22: f32[2, 3] = subtract(%18, %21)
        %25: f32[3, 2] = transpose(%22)
        %26: f32[3, 2] = transpose(x)
        %27: f32[3, 3] = linear(%25, %26, faint=true)
        %28: f32[1, 3] -> shift = assign(shift, %9)
        output y = %11
        output inner = %7
        output gradient.weight = %27
        output gradient.table = %16
      "
    `);
  });

  test('carries the line of the operation that each of its own comes from', () => {
    const source = example();
    const program = gradients(source, { of: ['y'], wrt: ['weight'] });
    const lines = new Set(source.operations.map(({ line }) => line));
    const fromForward = program.operations.filter(({ line }) => lines.has(line));
    expect(program.operations.length - fromForward.length).toBe(2);
  });

  test('computes no gradient that nobody asked for', () => {
    const names = (wrt: readonly string[]): readonly string[] =>
      gradients(example(), { of: ['y'], wrt }).operations.map(({ definition }) => definition.name);
    expect(names(['table'])).toContain('scatterRows');
    expect(names(['table'])).not.toContain('tokenShiftBackward');
    expect(names(['weight'])).not.toContain('scatterRows');
    // The gradient of x takes one product, that of the weight another.
    expect(names(['x', 'weight']).filter((name) => name === 'linear')).toHaveLength(3);
    expect(names(['weight']).filter((name) => name === 'linear')).toHaveLength(2);
  });

  test('updates a state at its end, after all that reads its old value', async () => {
    await using device = openCpu();
    // y = (rows shifted by the state) · state: the way back reads the old state once more.
    const program = record('shift', (g) => {
      const state = g.state('state', f32(1, 2), 3);
      const [shifted, next] = tokenShift(
        g.input('x', f32(1, 2)),
        state,
        g.input('offsets', i32(2)),
      );
      g.update(state, next);
      return { y: multiply(shifted, state) };
    });
    const withGradients = gradients(program, { of: ['y'], wrt: ['state'] });
    const states = allocateStates(device, [withGradients]);
    const executable = await device.compile(withGradients, { states: states.tensors });
    executable.run({ x: [5, 7], offsets: [0, 1], 'cotangent.y': [1, 10] });
    const { 'gradient.state': gradient } = await executable.read('gradient.state');
    // y = state², so twice the old state.
    expect([...gradient]).toEqual([6, 60]);
    expect([...(await device.read(states.tensors.get('state')!))]).toEqual([5, 7]);
  });

  test('adds up in states when asked to', async () => {
    await using device = openCpu();
    const program = record('product', (g) => ({
      y: multiply(g.input('x', f32(2)), g.state('w', f32(2))),
    }));
    const accumulating = gradients(program, { of: ['y'], wrt: ['w'], accumulate: true });
    expect([...accumulating.outputs.keys()]).toEqual(['y']);
    const states = allocateStates(device, [accumulating]);
    const executable = await device.compile(accumulating, { states: states.tensors });
    executable.run({ x: [1, 2], 'cotangent.y': [1, 1] });
    executable.run({ x: [10, 20], 'cotangent.y': [1, 2] });
    expect([...(await device.read(states.tensors.get('gradient.w')!))]).toEqual([11, 42]);
  });

  test('gives the cotangent itself where that is the gradient', async () => {
    await using device = openCpu();
    const program = record('sum', (g) => ({
      y: add(g.input('a', f32(2)), g.input('b', f32(2))),
    }));
    const executable = await device.compile(gradients(program, { of: ['y'], wrt: ['a', 'b'] }));
    executable.run({ a: [0, 0], b: [0, 0], 'cotangent.y': [3, 4] });
    const read = await executable.read('gradient.a', 'gradient.b');
    expect([...read['gradient.a'], ...read['gradient.b']]).toEqual([3, 4, 3, 4]);
  });

  test('takes several outputs, and a state that it sends back to', () => {
    const source = example();
    const program = gradients(source, {
      of: ['y', 'inner'],
      ofStates: ['shift'],
      wrt: ['shift', 'x'],
    });
    expect([...program.outputs.keys()]).toEqual(['y', 'inner', 'gradient.shift', 'gradient.x']);
    const declared = program.values.flatMap(({ kind, name }) => (kind === 'input' ? [name] : []));
    expect(declared).toEqual([
      'x',
      'offsets',
      'tokens',
      'cotangent.y',
      'cotangent.inner',
      'cotangent.shift',
    ]);
    expect(source.outputs.size).toBe(2);
  });
});

describe('gradients refuse', () => {
  const refused =
    (options: Parameters<typeof gradients>[1], program = example()): (() => Program) =>
    () =>
      gradients(program, options);

  test('names that the program does not have', () => {
    expect(refused({ of: ['z'], wrt: ['weight'] })).toThrow(UsageError);
    expect(refused({ of: ['z'], wrt: ['weight'] })).toThrow(/no output 'z'.*it gives y, inner/);
    expect(refused({ of: ['y'], wrt: ['z'] })).toThrow(/no parameter, input or state 'z'/);
    expect(refused({ ofStates: ['z'], wrt: ['weight'] })).toThrow(/updates no state 'z'/);
    expect(refused({ ofStates: ['table'], wrt: ['weight'] })).toThrow(/updates no state 'table'/);
  });

  test('nothing to differentiate, or nothing to do so by', () => {
    expect(refused({ wrt: ['weight'] })).toThrow(/need a name at least/);
    expect(refused({ of: ['y'], wrt: [] })).toThrow(/need a name at least/);
  });

  test('integers', () => {
    expect(refused({ of: ['y'], wrt: ['tokens'] })).toThrow(/i32\[2\]; only real numbers/);
  });

  test('a name that nothing flows back to', () => {
    expect(refused({ of: ['inner'], wrt: ['weight', 'table'] })).toThrow(
      /no gradient flows from inner of program example back to 'table'; leave it out of wrt/,
    );
  });

  test('an operation without a gradient on the way, by its name and line', () => {
    const program = record('squares', (g) => ({ y: sumOfSquares(g.input('x', f32(3))) }));
    expect(refused({ of: ['y'], wrt: ['x'] }, program)).toThrow(
      /sumOfSquares in program squares, recorded at gradients.gradient.test.ts:\d+, has no gradient/,
    );
  });

  test('no operation without a gradient beside the way', () => {
    const program = record('both', (g) => {
      const x = g.input('x', f32(3));
      return { y: scale(x, { factor: 2 }), norm: sumOfSquares(x) };
    });
    expect(refused({ of: ['y'], wrt: ['x'] }, program)).not.toThrow();
  });

  test('names of their own that the program has already', () => {
    const program = record('taken', (g) => ({
      y: add(g.input('x', f32(1)), g.input('cotangent.y', f32(1))),
    }));
    expect(refused({ of: ['y'], wrt: ['x'] }, program)).toThrow(/named 'cotangent.y'/);
  });
});
