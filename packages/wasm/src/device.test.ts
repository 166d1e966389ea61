import { linear } from '@rwkv-js/core';
import {
  allocateStates,
  DeviceError,
  defineOp,
  f16,
  f32,
  i32,
  loadParameters,
  pack,
  q4,
  q8,
  record,
  transposedDType,
  u32,
  UsageError,
  type Device,
  type HostArray,
  type TensorSpec,
  type Value,
} from '@rwkv-js/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { wasmKernels } from './kernels.ts';
import { openWasm } from './open.ts';

let device: Device;

beforeAll(async () => {
  device = await openWasm({ threads: 2 });
});

afterAll(() => device.dispose());

/** The layout that `linear` wants a weight in. */
const layoutOf = (spec: TensorSpec): string =>
  wasmKernels.parameterLayout(linear.definition, 1, spec);

const numbers = (count: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => ((i * 7919) % 1021) / 64 - 8);

describe('memory', () => {
  test('a tensor holds what was written, in every dtype', async () => {
    for (const [spec, data] of [
      [f32(2), Float32Array.of(0.1, NaN)],
      [f16(2), Uint16Array.of(0x7c01, 0x3c00)],
      [{ dtype: 'bf16', shape: [2] }, Uint16Array.of(1, 2)],
      [i32(2), Int32Array.of(-1, 2)],
      [u32(2), Uint32Array.of(2 ** 32 - 1, 2)],
      [{ dtype: q8, shape: [1, 32] }, Uint8Array.from({ length: 34 }, (_, i) => i)],
    ] as const) {
      const tensor = device.allocate(spec);
      expect(await device.read(tensor)).toEqual(data.map(() => 0));
      device.write(tensor, data);
      expect(await device.read(tensor)).toEqual(data);
      tensor.dispose();
    }
  });

  test('memory that was used before is zero again', async () => {
    const first = device.allocate(f32(5000));
    device.write(first, numbers(5000));
    first.dispose();
    await device.read(device.allocate(f32(1)));
    expect(await device.read(device.allocate(f32(5000)))).toEqual(new Float32Array(5000));
  });

  test.each([
    ['f32', [70, 40]],
    ['f16', [70, 40]],
    ['bf16', [32, 5]],
  ] as const)(
    '%s %s in panels reads, and takes ranges, as if it was row-major',
    async (dtype, shape) => {
      const count = shape[0] * shape[1];
      const spec = { dtype, shape };
      const tensor = device.allocate(spec, { layout: layoutOf(spec) });
      const data: HostArray =
        dtype === 'f32' ? numbers(count) : Uint16Array.from({ length: count }, (_, i) => i);
      expect(tensor.layout).not.toBe('row-major');
      device.write(tensor, data);
      expect(await device.read(tensor)).toEqual(data);
      const part = data.slice(10, 30).toReversed();
      device.write(tensor, part, { start: 37, count: 20 });
      data.set(part, 37);
      device.copy(tensor, tensor, { start: 30, count: 60 }, 45);
      data.copyWithin(45, 30, 90);
      const plain = device.allocate(spec);
      device.copy(tensor, plain, { start: 0, count }, 0);
      expect(await device.read(plain)).toEqual(data);
      expect(await device.read(tensor, { start: 36, count: 80 })).toEqual(data.slice(36, 116));
    },
  );

  test.each([q8, q4].flatMap((dtype) => [dtype, transposedDType(dtype)]))(
    'packed matrices read as they were written, whatever their layout: %o',
    async (dtype) => {
      const spec = { dtype, shape: [96, 64] };
      const bytes = pack(spec, numbers(96 * 64));
      const layout = layoutOf(spec);
      const [tensor, other] = [
        device.allocate(spec, { layout }),
        device.allocate(spec, { layout }),
      ];
      expect(layout).not.toBe('row-major');
      device.write(tensor, bytes);
      device.copy(tensor, other, { start: 0, count: bytes.length }, 0);
      expect(await device.read(other)).toEqual(bytes);
      expect(() =>
        device.write(tensor, bytes.slice(1), { start: 1, count: bytes.length - 1 }),
      ).toThrow('packed tensors are taken whole');
      const plain = device.allocate(spec);
      expect(() => device.copy(tensor, plain, { start: 0, count: bytes.length }, 0)).toThrow(
        'copied between those of one layout',
      );
    },
  );

  test('what is refused is told, and changes nothing', async () => {
    const tensor = device.allocate(f32(3), { label: 'three' });
    for (const [start, count] of [
      [-1, 1],
      [0, 4],
      [0.5, 1],
      [NaN, 1],
    ] as const) {
      const range = { start, count };
      await expect(device.read(tensor, range)).rejects.toThrow(UsageError);
      expect(() => device.write(tensor, Float32Array.of(1), range)).toThrow(
        /^cannot write elements/,
      );
      expect(() => device.copy(tensor, tensor, range, 0)).toThrow(/^cannot copy elements/);
    }
    expect(() => device.write(tensor, Float32Array.of(1))).toThrow(
      "tensor 'three' was given 1 elements to write; the range holds 3",
    );
    expect(() => device.write(tensor, Int32Array.of(1, 2, 3))).toThrow('it is f32[3]');
    expect(() => device.allocate(f32(2), { layout: 'tiles' })).toThrow(UsageError);
    expect(() => device.allocate(f32(1.5))).toThrow(UsageError);
    expect(() => device.copy(tensor, device.allocate(i32(3)), { start: 0, count: 1 }, 0)).toThrow(
      'both must have one dtype',
    );
    tensor.dispose();
    await expect(device.read(tensor)).rejects.toThrow("tensor 'three' was disposed");
  });

  test("another device's tensor is refused", async () => {
    await using other = await openWasm({ threads: 1 });
    const tensor = other.allocate(f32(1), { label: 'foreign' });
    await expect(device.read(tensor)).rejects.toThrow(
      "cannot read 'foreign': it belongs to another device",
    );
  });

  test('more than 4 GiB is a DeviceError that says what would do, and the device goes on', async () => {
    const allocate = (): unknown =>
      device.allocate(f32(2 ** 15, 2 ** 15), { label: 'head.weight' });
    expect(allocate).toThrow(DeviceError);
    expect(allocate).toThrow(
      /^device wasm has no 4096\.0 MiB for 'head\.weight': it holds [\d.]+ MiB of the 4096 MiB .* 'cpu'/,
    );
    expect(await device.read(device.allocate(f32(1)))).toEqual(Float32Array.of(0));
  });
});

describe('opening', () => {
  test.each([0, -1, 1.5, NaN])('%d threads are refused', async (threads) => {
    await expect(openWasm({ threads })).rejects.toThrow(
      `threads is a whole number from 1, and ${threads} was given`,
    );
  });

  test('it says what it is', () => {
    expect(device.info).toEqual({
      name: 'wasm',
      description: 'WebAssembly with SIMD, 2 threads',
    });
  });
});

describe('programs', () => {
  test('an operation that workers do not know is refused by name', async () => {
    const own = defineOp<(x: Value) => Value>({
      name: 'ownOperation',
      arguments: ['x'],
      infer: ([x]) => [x!],
      reference: () => undefined,
    });
    const program = record('own', (recorder) => ({ y: own(recorder.input('x', f32(1))) }));
    await expect(device.compile(program)).rejects.toThrow(
      'device wasm has no kernel for ownOperation(f32[1])',
    );
  });

  test('in debug, the operation that gives NaN is named', async () => {
    await using debugged = await openWasm({ threads: 2 });
    const program = record('products', (recorder) => ({
      y: linear(recorder.input('x', f32(1, 4)), recorder.input('w', f32(40, 4))),
    }));
    const step = await debugged.compile(program, { debug: true });
    step.run({ x: [1, NaN, 1, 1], w: new Float32Array(160) });
    await expect(step.read('y')).rejects.toThrow(
      /linear of program products, recorded at device\.test\.ts:\d+, gave NaN as element 0/,
    );
  });

  test('states are updated where they lie, and shared by programs', async () => {
    const program = record('step', (recorder) => {
      const state = recorder.state('s', f32(2, 40), 3);
      const weight = recorder.parameter('w', f16(40, 40));
      return { y: linear(state, weight) };
    });
    const states = allocateStates(device, [program]);
    const identity = Uint16Array.from({ length: 1600 }, (_, i) => (i % 41 === 0 ? 0x3c00 : 0));
    const parameters = await loadParameters(device, [program], {
      label: 'identity',
      tensors: new Map([['w', f16(40, 40) as { dtype: 'f16'; shape: number[] }]]),
      metadata: new Map(),
      read: async () => new Uint8Array(identity.slice().buffer),
      close: async () => undefined,
    });
    const step = await device.compile(program, {
      parameters: parameters.tensors,
      states: states.tensors,
    });
    step.run({});
    expect((await step.read('y')).y).toEqual(new Float32Array(80).fill(3));
    expect(() => step.run({ z: [1] })).toThrow("program step has no input 'z'");
    parameters.dispose();
    expect(() => step.run({})).toThrow("uses tensor 'w', which was disposed");
    states.dispose();
  });
});
