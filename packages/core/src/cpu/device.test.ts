import { DeviceError, f16, f32, i32, q4, u32, UsageError } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { openCpu } from './device.ts';

describe('memory', () => {
  test('a tensor holds what was written, in every dtype', async () => {
    await using device = openCpu();
    for (const [spec, data] of [
      [f32(2), Float32Array.of(0.1, NaN)],
      [f16(2), Uint16Array.of(0x7c01, 0x3c00)],
      [{ dtype: 'bf16', shape: [2] }, Uint16Array.of(1, 2)],
      [i32(2), Int32Array.of(-1, 2)],
      [u32(2), Uint32Array.of(2 ** 32 - 1, 2)],
    ] as const) {
      const tensor = device.allocate(spec);
      expect(await device.read(tensor)).toEqual(data.map(() => 0));
      device.write(tensor, data);
      expect(await device.read(tensor)).toEqual(data);
    }
  });

  test('ranges are written, read and copied', async () => {
    await using device = openCpu();
    const from = device.allocate(f32(2, 3));
    const to = device.allocate(f32(4));
    device.write(from, Float32Array.of(1, 2, 3, 4, 5, 6));
    device.write(from, Float32Array.of(20, 30), { start: 1, count: 2 });
    expect(await device.read(from, { start: 2, count: 2 })).toEqual(Float32Array.of(30, 4));
    device.copy(from, to, { start: 3, count: 3 }, 1);
    expect(await device.read(to)).toEqual(Float32Array.of(0, 4, 5, 6));
    device.copy(to, to, { start: 0, count: 3 }, 1);
    expect(await device.read(to)).toEqual(Float32Array.of(0, 0, 4, 5));
    device.write(to, new Float32Array(0), { start: 4, count: 0 });
    expect(await device.read(to, { start: 4, count: 0 })).toEqual(new Float32Array(0));
  });

  test('what was given or read is a copy', async () => {
    await using device = openCpu();
    const tensor = device.allocate(f32(1));
    const data = Float32Array.of(1);
    device.write(tensor, data);
    data[0] = 2;
    const read = await device.read(tensor);
    read[0] = 3;
    expect(await device.read(tensor)).toEqual(Float32Array.of(1));
  });

  test.each([
    [-1, 1],
    [0, 4],
    [3, 1],
    [1, -1],
    [0.5, 1],
    [0, 1.5],
    [NaN, 1],
    [0, Infinity],
  ])('elements from %d, %d many, of 3 are refused', async (start, count) => {
    await using device = openCpu();
    const tensor = device.allocate(f32(3), { label: 'three' });
    const range = { start, count };
    const reading = device.read(tensor, range);
    await expect(reading).rejects.toThrow(UsageError);
    await expect(reading).rejects.toThrow(/^cannot read elements .* of 'three'; it has 3/);
    expect(() => device.write(tensor, Float32Array.of(1), range)).toThrow(/^cannot write elements/);
    expect(() => device.copy(tensor, tensor, range, 0)).toThrow(/^cannot copy elements/);
    expect(await device.read(tensor)).toEqual(new Float32Array(3));
  });

  test('a copy that ends beyond its target, or in another dtype, is refused', async () => {
    await using device = openCpu();
    const [from, to, halves] = [f32(3), f32(2), f16(3)].map((spec) => device.allocate(spec));
    const all = { start: 0, count: 3 };
    expect(() => device.copy(from, to, all, 0)).toThrow(UsageError);
    expect(() => device.copy(from, to, { start: 0, count: 1 }, 2)).toThrow('it has 2');
    expect(() => device.copy(from, halves, all, 0)).toThrow(
      "copy from 'f32[3]' f32[3] to 'f16[3]' f16[3]: both must have one dtype",
    );
  });

  test('elements that are not as many, or of another dtype, are refused', async () => {
    await using device = openCpu();
    const tensor = device.allocate(i32(2), { label: 'pair' });
    expect(() => device.write(tensor, Int32Array.of(1))).toThrow(
      "tensor 'pair' was given 1 elements to write; the range holds 2",
    );
    expect(() => device.write(tensor, Float32Array.of(1, 2))).toThrow(UsageError);
    expect(() => device.write(tensor, Float32Array.of(1, 2))).toThrow(
      "tensor 'pair' was given Float32Array elements to write; it is i32[2]",
    );
  });

  test('packed tensors are written and read whole, as bytes', async () => {
    await using device = openCpu();
    const tensor = device.allocate({ dtype: q4, shape: [2, 32] }, { label: 'w' });
    const bytes = Uint8Array.from({ length: 36 }, (_, i) => i);
    device.write(tensor, bytes);
    expect(await device.read(tensor)).toEqual(bytes);
    expect(() => device.write(tensor, new Float32Array(36))).toThrow(UsageError);
    await expect(device.read(tensor, { start: 0, count: 18 })).rejects.toThrow(
      "cannot read a part of 'w' q4[2, 32]; packed tensors are taken whole, as 36 bytes",
    );
  });

  test('only row-major tensors of whole sizes are allocated', async () => {
    await using device = openCpu();
    expect(() => device.allocate(f32(2), { layout: 'tiles' })).toThrow(UsageError);
    expect(() => device.allocate(f32(2), { layout: 'tiles', label: 'w' })).toThrow(
      "cannot allocate 'w' as f32[2] tiles",
    );
    expect(() => device.allocate(f32(-1))).toThrow(UsageError);
    expect(() => device.allocate(f32(1.5))).toThrow(UsageError);
  });

  test('more memory than there is, is a DeviceError that says how much', async () => {
    await using device = openCpu();
    const allocating = (): void => {
      device.allocate(f32(2 ** 25, 2 ** 25), { label: 'huge' });
    };
    expect(allocating).toThrow(DeviceError);
    expect(allocating).toThrow(`device cpu has no ${2 ** 52} bytes for 'huge'`);
    // It is no failure of the device: it goes on.
    expect(await device.read(device.allocate(f32(1)))).toEqual(Float32Array.of(0));
  });

  test('in doubles, f32 tensors hold doubles', async () => {
    await using device = openCpu({ precision: 'f64' });
    const tensor = device.allocate(f32(1));
    device.write(tensor, Float64Array.of(0.1));
    expect(await device.read(tensor)).toEqual(Float64Array.of(0.1));
    device.write(tensor, Float32Array.of(0.5));
    expect(await device.read(tensor)).toEqual(Float64Array.of(0.5));
  });
});

describe('lifetimes', () => {
  test('a tensor that was disposed is told by its label', async () => {
    await using device = openCpu();
    const tensor = device.allocate(f32(1), { label: 'gone' });
    expect(tensor.disposed).toBe(false);
    tensor.dispose();
    tensor.dispose();
    expect(tensor.disposed).toBe(true);
    await expect(device.read(tensor)).rejects.toThrow(UsageError);
    await expect(device.read(tensor)).rejects.toThrow("tensor 'gone' was disposed");
    expect(() => device.write(tensor, Float32Array.of(1))).toThrow("tensor 'gone' was disposed");
  });

  test("another device's tensor is refused", async () => {
    await using device = openCpu();
    await using other = openCpu({ precision: 'f64' });
    const tensor = other.allocate(f32(1), { label: 'foreign' });
    await expect(device.read(tensor)).rejects.toThrow(UsageError);
    await expect(device.read(tensor)).rejects.toThrow(
      "cannot read 'foreign': it belongs to another device",
    );
    const own = device.allocate(f32(1));
    const one = { start: 0, count: 1 };
    expect(() => device.write(tensor, Float32Array.of(1))).toThrow("cannot write 'foreign'");
    expect(() => device.copy(own, tensor, one, 0)).toThrow("cannot copy 'foreign'");
  });

  test('dispose gives every tensor back, once or twice', async () => {
    const device = openCpu();
    const tensors = [device.allocate(f32(1)), device.allocate(i32(1))];
    await device.dispose();
    await device.dispose();
    await device[Symbol.asyncDispose]();
    expect(tensors.map(({ disposed }) => disposed)).toEqual([true, true]);
    await expect(device.read(tensors[0])).rejects.toThrow(UsageError);
    await expect(device.read(tensors[0])).rejects.toThrow('device cpu was disposed');
    expect(() => device.allocate(f32(1))).toThrow('device cpu was disposed');
    expect(() => device.write(tensors[0], Float32Array.of(1))).toThrow('device cpu was disposed');
  });

  test('it says what it is', () => {
    expect(openCpu().info).toEqual({
      name: 'cpu',
      description: 'reference loops in f32, one thread',
    });
    expect(openCpu({ precision: 'f64' }).info.description).toContain('f64');
  });
});
