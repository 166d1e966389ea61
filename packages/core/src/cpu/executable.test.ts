import {
  allocateStates,
  defineOp,
  DeviceError,
  f16,
  f32,
  i32,
  record,
  UsageError,
  type Program,
  type Value,
} from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { add } from '../ops/add.ts';
import { exp } from '../ops/exp.ts';
import { gatherRows } from '../ops/gather-rows.ts';
import { linear } from '../ops/linear.ts';
import { scale } from '../ops/scale.ts';
import { openCpu } from './device.ts';

const doubling = record('doubling', (recorder) => ({
  y: scale(recorder.input('x', f32(2)), { factor: 2 }),
}));

/** An operation that fails when its first element is above 0. */
const fragile = defineOp<(x: Value) => Value>({
  name: 'fragile',
  arguments: ['x'],
  infer: ([x]) => [x!],
  reference({ inputs: [x], outputs: [y] }) {
    if (x!.data[0] > 0) throw new RangeError('it broke');
    y!.data.set(x!.data);
  },
});

const breaking = record('breaking', (recorder) => ({ y: fragile(recorder.input('x', f32(1))) }));

describe('run and read', () => {
  test('a read gives the run that was queued before it, as a copy', async () => {
    await using device = openCpu();
    const step = await device.compile(doubling);
    step.run({ x: Float32Array.of(1, 2) });
    const first = await step.read('y');
    step.run({ x: [3, 4] });
    expect(first.y).toEqual(Float32Array.of(2, 4));
    expect((await step.read('y')).y).toEqual(Float32Array.of(6, 8));
    expect(await step.read()).toEqual({});
  });

  test('numbers for 16-bit inputs are rounded, bits are taken as they are', async () => {
    await using device = openCpu();
    const program = record('halves', (recorder) => ({
      y: scale(recorder.input('x', f16(2)), { factor: 1 }),
    }));
    const step = await device.compile(program);
    step.run({ x: [1.5, -2] });
    expect((await step.read('y')).y).toEqual(Float32Array.of(1.5, -2));
    step.run({ x: Uint16Array.of(0x3c00, 0xc000) });
    expect((await step.read('y')).y).toEqual(Float32Array.of(1, -2));
  });

  test('inputs that are missing, unknown, too many or of another dtype are refused', async () => {
    await using device = openCpu();
    const step = await device.compile(doubling);
    step.run({ x: [1, 2] });
    for (const [inputs, message] of [
      [{}, "input 'x' of program doubling was given nothing; it takes f32[2]"],
      [{ x: [1] }, "input 'x' of program doubling was given 1 elements of Array"],
      [{ x: Int32Array.of(1, 2) }, 'was given 2 elements of Int32Array; it takes f32[2]'],
      [{ x: [3, 4], z: [1] }, "program doubling has no input 'z'; it takes x"],
    ] as const) {
      expect(() => step.run(inputs)).toThrow(UsageError);
      expect(() => step.run(inputs)).toThrow(message);
    }
    // Nothing of it was queued.
    expect((await step.read('y')).y).toEqual(Float32Array.of(2, 4));
  });

  test('reading what is not there, or before a run, is refused', async () => {
    await using device = openCpu();
    const step = await device.compile(doubling);
    await expect(step.read('y')).rejects.toThrow(UsageError);
    await expect(step.read('y')).rejects.toThrow('program doubling is read before it ran');
    step.run({ x: [1, 2] });
    await expect(step.read('z')).rejects.toThrow("has no output 'z'; it gives y");
  });
});

describe('tensors of a program', () => {
  const program = record('step', (recorder) => {
    const state = recorder.state('s', f32(2));
    recorder.update(state, scale(state, { factor: 2 }));
    return { y: add(state, recorder.parameter('p', f32(2))) };
  });

  test('must be given, fit, live, and be of this device', async () => {
    await using device = openCpu();
    await using other = openCpu();
    const states = allocateStates(device, [program]).tensors;
    const disposed = device.allocate(f32(2));
    disposed.dispose();
    for (const [p, message] of [
      [undefined, "needs parameter 'p' f32[2] on device cpu and was given none; loadParameters"],
      [other.allocate(f32(2)), 'was given a tensor of another device'],
      [disposed, 'was given one that was disposed'],
      [device.allocate(f32(3)), "needs parameter 'p' as f32[2] row-major and was given f32[3]"],
      [device.allocate(f16(2)), 'was given f16[2] row-major'],
    ] as const) {
      const compiling = device.compile(program, { parameters: new Map(p && [['p', p]]), states });
      await expect(compiling).rejects.toThrow(UsageError);
      await expect(compiling).rejects.toThrow(message);
    }
    const parameters = new Map([['p', device.allocate(f32(2))]]);
    await expect(device.compile(program, { parameters })).rejects.toThrow(
      "needs state 's' f32[2] on device cpu and was given none; allocateStates makes it",
    );
  });

  test('that are disposed under a program stop it, by name', async () => {
    await using device = openCpu();
    const states = allocateStates(device, [program]).tensors;
    const p = device.allocate(f32(2), { label: 'the weights' });
    const step = await device.compile(program, { parameters: new Map([['p', p]]), states });
    step.run({});
    p.dispose();
    expect(() => step.run({})).toThrow(UsageError);
    expect(() => step.run({})).toThrow(
      "program step uses tensor 'the weights', which was disposed",
    );
    await expect(step.read('y')).rejects.toThrow("'the weights', which was disposed");
  });

  test('states are shared by programs and seen by the device', async () => {
    await using device = openCpu();
    const states = allocateStates(device, [program]).tensors;
    const parameters = new Map([['p', device.allocate(f32(2))]]);
    device.write(states.get('s')!, Float32Array.of(1, 2));
    const [one, two] = [
      await device.compile(program, { parameters, states }),
      await device.compile(program, { parameters, states }),
    ];
    one.run({});
    two.run({});
    expect((await one.read('y')).y).toEqual(Float32Array.of(1, 2));
    expect((await two.read('y')).y).toEqual(Float32Array.of(2, 4));
    expect(await device.read(states.get('s')!)).toEqual(Float32Array.of(4, 8));
  });
});

describe('lifetimes', () => {
  test('a program that was disposed is told, twice is once', async () => {
    await using device = openCpu();
    const step = await device.compile(doubling);
    step.run({ x: [1, 2] });
    step.dispose();
    step.dispose();
    expect(() => step.run({ x: [1, 2] })).toThrow(UsageError);
    expect(() => step.run({ x: [1, 2] })).toThrow('program doubling was disposed');
    await expect(step.read('y')).rejects.toThrow('program doubling was disposed');
  });

  test('its programs end with the device', async () => {
    const device = openCpu();
    const step = await device.compile(doubling);
    await device.dispose();
    expect(() => step.run({ x: [1, 2] })).toThrow('device cpu was disposed');
    await expect(device.compile(doubling)).rejects.toThrow('device cpu was disposed');
    step.dispose();
  });
});

describe('failures', () => {
  test('an error within an operation sticks: later reads reject with it and lost resolves', async () => {
    await using device = openCpu();
    const tensor = device.allocate(f32(1));
    const step = await device.compile(breaking);
    const healthy = await device.compile(doubling);
    healthy.run({ x: [1, 2] });
    step.run({ x: [-1] });
    expect((await step.read('y')).y).toEqual(Float32Array.of(-1));

    step.run({ x: [1] });
    await expect(step.read('y')).rejects.toThrow(DeviceError);
    await expect(step.read('y')).rejects.toThrow('device cpu failed: RangeError: it broke');
    const lost = await device.lost;
    expect(lost).toBeInstanceOf(DeviceError);
    expect(lost.cause).toBeInstanceOf(RangeError);

    // What is queued afterwards is not begun, and nothing throws but what waits.
    healthy.run({ x: [3, 4] });
    device.write(tensor, Float32Array.of(5));
    await expect(healthy.read('y')).rejects.toBe(lost);
    await expect(device.read(tensor)).rejects.toBe(lost);
    await expect(device.compile(doubling)).rejects.toBe(lost);
    expect(() => healthy.run({ x: [1] })).toThrow(UsageError);
  });

  test('two failures are the first', async () => {
    await using device = openCpu();
    const step = await device.compile(breaking);
    step.run({ x: [1] });
    step.run({ x: [2] });
    await expect(step.read('y')).rejects.toBe(await device.lost);
  });
});

describe('debug', () => {
  const withNaN: Program = record('careful', (recorder) => {
    const x = recorder.input('x', f32(1, 2));
    const y = linear(exp(x), recorder.input('w', f32(1, 2)));
    return { y, rows: gatherRows(x, recorder.input('i', i32(1))) };
  });
  const inputs = { x: [0, 0], w: [1, NaN], i: [0] };

  test('the first NaN stops the run, with the name and line of its operation', async () => {
    await using device = openCpu();
    const step = await device.compile(withNaN, { debug: true });
    step.run({ ...inputs, w: [1, 2] });
    expect((await step.read('y')).y).toEqual(Float32Array.of(3));
    step.run(inputs);
    await expect(step.read('y')).rejects.toThrow(DeviceError);
    await expect(step.read('y')).rejects.toThrow(
      /^linear of program careful, recorded at executable\.test\.ts:\d+, gave NaN as element 0;/,
    );
  });

  test('without it NaN goes on', async () => {
    await using device = openCpu();
    const step = await device.compile(withNaN);
    step.run(inputs);
    expect((await step.read('y')).y).toEqual(Float32Array.of(NaN));
  });

  test('an error within an operation is told with its name and line', async () => {
    await using device = openCpu();
    const step = await device.compile(breaking, { debug: true });
    step.run({ x: [1] });
    await expect(step.read('y')).rejects.toThrow(
      /^fragile of program breaking, recorded at executable\.test\.ts:\d+, failed: RangeError: it/,
    );
  });
});
