import { add, linear, negate } from '@rwkv-js/core';
import {
  allocateStates,
  convert,
  elementCount,
  f16,
  f32,
  record,
  UsageError,
} from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeOn, openForTests } from '../test/adapter.ts';

const opened = await openForTests();

const doubled = record('doubled', (recorder) => {
  const x = recorder.input('x', f32(4));
  return { y: add(x, x) };
});

describeOn(opened, 'the WebGPU device', (device) => {
  test('elements are written, copied and read, whole and in parts', async () => {
    const [a, b] = [device.allocate(f32(2, 3)), device.allocate(f32(2, 3))];
    device.write(a, Float32Array.of(1, 2, 3, 4, 5, 6));
    device.write(b, new Float32Array(6));
    device.copy(a, b, { start: 1, count: 3 }, 2);
    device.copy(b, b, { start: 2, count: 3 }, 3);
    expect(await device.read(b)).toEqual(Float32Array.of(0, 0, 2, 2, 3, 4));
    expect(await device.read(a, { start: 4, count: 2 })).toEqual(Float32Array.of(5, 6));
    await expect(device.read(a, { start: 4, count: 3 })).rejects.toThrow(UsageError);
    a.dispose();
    b.dispose();
  });

  test('a copy takes what lay there, whatever becomes of its source and its target after it', async () => {
    const [a, b, c] = [device.allocate(f32(4)), device.allocate(f32(4)), device.allocate(f32(4))];
    const whole = { start: 0, count: 4 };
    device.write(a, Float32Array.of(1, 2, 3, 4));
    device.copy(a, b, whole, 0);
    device.write(a, Float32Array.of(5, 6, 7, 8));
    device.copy(a, c, whole, 0);
    device.copy(b, b, { start: 0, count: 2 }, 2);
    a.dispose();
    const run = await device.compile(doubled);
    run.run({ x: Float32Array.of(1, 1, 1, 1) });
    expect(await device.read(b)).toEqual(Float32Array.of(1, 2, 1, 2));
    expect(await device.read(c)).toEqual(Float32Array.of(5, 6, 7, 8));
    run.dispose();
    device.copy(b, c, whole, 0);
    c.dispose();
    expect(await device.read(b)).toEqual(Float32Array.of(1, 2, 1, 2));
    b.dispose();
  });

  test('16-bit elements are taken in pairs', async () => {
    const half = device.allocate(f16(5));
    device.write(half, Float32Array.of(1, 2, 3, 4, 5));
    expect(await device.read(half)).toEqual(Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400, 0x4500));
    await expect(device.read(half, { start: 1, count: 2 })).rejects.toThrow(/in pairs/);
    half.dispose();
  });

  test('a matrix by columns is written and read as its rows, and taken whole', async () => {
    for (const spec of [f16(5, 3), f32(4, 6)]) {
      const matrix = device.allocate(spec, { layout: 'columns' });
      const numbers = Float32Array.from({ length: elementCount(spec.shape) }, (_, i) => i - 4);
      device.write(matrix, numbers);
      const read = await device.read(matrix);
      expect(convert(read, spec.dtype as 'f16' | 'f32', 'f32')).toEqual(numbers);
      expect(() => device.write(matrix, numbers.subarray(0, 2), { start: 0, count: 2 })).toThrow(
        /columns; .* taken whole/,
      );
      const rows = device.allocate(spec);
      expect(() => device.copy(matrix, rows, { start: 0, count: numbers.length }, 0)).toThrow(
        /one dtype and layout/,
      );
      rows.dispose();
      matrix.dispose();
    }
    expect(() => device.allocate(f32(2, 3, 4), { layout: 'columns' })).toThrow(UsageError);
    expect(() => device.allocate(f32(2, 3), { layout: 'panels' })).toThrow(UsageError);
  });

  test('outputs are those of the last run that was queued', async () => {
    const step = await device.compile(doubled);
    for (const x of [1, 2, 3]) step.run({ x: [x, x, x, x] });
    expect((await step.read('y')).y).toEqual(Float32Array.of(6, 6, 6, 6));
    expect(() => step.run({ x: [1] })).toThrow(/was given 1 elements/);
    expect(() => step.run({ x: [1, 2, 3, 4], z: [1] })).toThrow(/has no input 'z'/);
    step.dispose();
    expect(() => step.run({ x: [1, 2, 3, 4] })).toThrow(/was disposed/);
  });

  test('two programs share states, and one that needs more memory moves the other’s', async () => {
    const program = (rows: number) =>
      record(`of ${rows}`, (recorder) => {
        const x = recorder.input('x', f32(rows, 64));
        const kept = recorder.state('kept', f32(64, 64), 1);
        return { y: negate(negate(linear(negate(x), kept))) };
      });
    const states = allocateStates(device, [program(1), program(600)]);
    const small = await device.compile(program(1), { states: states.tensors });
    const large = await device.compile(program(600), { states: states.tensors });
    const ones = (count: number): Float32Array => new Float32Array(count * 64).fill(1);
    small.run({ x: ones(1) });
    large.run({ x: ones(600) });
    small.run({ x: ones(1) });
    expect((await small.read('y')).y[0]).toBe(-64);
    expect((await large.read('y')).y.at(-1)).toBe(-64);
    for (const each of [small, large, states]) each.dispose();
  });
});

describeOn(opened, 'the end of a WebGPU device', () => {
  test('dispose waits for what runs; what is used after it is told so', async () => {
    const device = (await openForTests())!;
    const step = await device.compile(doubled);
    step.run({ x: [1, 2, 3, 4] });
    const reading = step.read('y');
    await Promise.all([device.dispose(), device.dispose()]);
    await reading.catch(() => undefined);
    expect(() => step.run({ x: [1, 2, 3, 4] })).toThrow(/was disposed/);
    expect(() => device.allocate(f32(1))).toThrow(/openWebGpu/);
  });

  test('a device that is lost says so to everything that waits', async () => {
    const device = (await openForTests())!;
    const step = await device.compile(doubled);
    device.gpu.destroy();
    expect((await device.lost).message).toMatch(/was lost/);
    step.run({ x: [1, 2, 3, 4] });
    await expect(step.read('y')).rejects.toThrow(/was lost/);
    await device.dispose();
  });
});
