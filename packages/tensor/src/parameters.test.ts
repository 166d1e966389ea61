import { add, exp, linear, multiply, openCpu, reshape, transpose } from '@rwkv-js/core';
import { describe, expect, test } from 'vitest';
import type { Device, DeviceTensor } from './device.ts';
import { hostArray, type HostArray, type PlainDType } from './dtype.ts';
import { setElements } from './convert.ts';
import { FormatError, UsageError } from './errors.ts';
import { loadParameters, parameterBytes, type LoadProgress } from './parameters.ts';
import type { Program } from './program.ts';
import { record } from './record.ts';
import { f16, f32, type Shape } from './spec.ts';
import type { WeightSource } from './weight-source.ts';

interface Given {
  readonly dtype?: PlainDType;
  readonly shape: Shape;
  readonly elements: readonly number[];
}

/** A source of a few tensors in memory. */
function memory(
  given: Readonly<Record<string, Given>>,
  read?: (name: string) => void,
): WeightSource {
  return {
    label: 'numbers',
    tensors: new Map(
      Object.entries(given).map(([name, { dtype = 'f32', shape }]) => [name, { dtype, shape }]),
    ),
    metadata: new Map(),
    async read(name) {
      read?.(name);
      const { dtype = 'f32', elements } = given[name];
      const data = hostArray(dtype, elements.length);
      setElements(data, dtype, elements);
      return new Uint8Array(data.buffer);
    },
    close: async () => undefined,
  };
}

/** A step that takes parameters `a` [3], `b` [3] and `w` [2, 3] in f16, transposed. */
function step(tokens: number): Program {
  return record(`step of ${tokens}`, (recorder) => {
    const x = recorder.input('x', f32(tokens, 2));
    const y = linear(x, transpose(recorder.parameter('w', f16(2, 3))));
    const biased = add(y, recorder.parameter('a', f32(3)));
    return { y: multiply(biased, exp(recorder.parameter('b', f32(3)))) };
  });
}

const good = {
  a: { shape: [3], elements: [1, 2, 3] },
  b: { shape: [1, 1, 3], elements: [0, 0, 1] },
  w: { dtype: 'f16', shape: [2, 3], elements: [1, 2, 3, 4, 5, 6] },
} as const satisfies Record<string, Given>;

/** A device that keeps account of its tensors. */
function accountedCpu(): { device: Device; living: () => readonly string[] } {
  const device = openCpu();
  const made: DeviceTensor[] = [];
  const allocate = device.allocate.bind(device);
  device.allocate = (...args) => {
    const tensor = allocate(...args);
    made.push(tensor);
    return tensor;
  };
  const living = (): string[] => made.filter(({ disposed }) => !disposed).map(({ label }) => label);
  return { device, living };
}

async function contents(
  device: Device,
  tensors: ReadonlyMap<string, DeviceTensor>,
): Promise<Record<string, HostArray>> {
  const entries = [...tensors].map(
    async ([name, tensor]) => [name, await device.read(tensor)] as const,
  );
  return Object.fromEntries(await Promise.all(entries));
}

describe('loadParameters', () => {
  test('loads what the steps take, and what they derive, once for all programs', async () => {
    const reads: string[] = [];
    const { device, living } = accountedCpu();
    const programs = [step(1), step(4)];
    const parameters = await loadParameters(
      device,
      programs,
      memory(good, (name) => reads.push(name)),
    );
    expect(reads.toSorted()).toEqual(['a', 'b', 'w']);
    expect([...parameters.tensors.keys()].toSorted()).toEqual(['a', 'exp(b)', 'transpose(w)']);
    const found = await contents(device, parameters.tensors);
    expect(found['a']).toEqual(Float32Array.of(1, 2, 3));
    expect(found['exp(b)']).toEqual(Float32Array.of(1, 1, Math.E));
    const halves = hostArray('f16', 6);
    setElements(halves, 'f16', [1, 4, 2, 5, 3, 6]);
    expect(found['transpose(w)']).toEqual(halves);
    expect(parameters.byteLength).toBe(12 + 12 + 12);
    expect(parameterBytes(programs, device.kernels)).toBe(36);

    for (const program of programs) {
      const executable = await device.compile(program, { parameters: parameters.tensors });
      const tokens = program.values[0].spec.shape[0];
      executable.run({ x: new Float32Array(tokens * 2).fill(1) });
      const { y } = await executable.read('y');
      expect(y.slice(0, 3)).toEqual(Float32Array.of(6, 9, 12 * Math.E));
    }
    expect(living().length).toBe(3);
    parameters.dispose();
    parameters.dispose();
    expect(living()).toEqual([]);
  });

  test('a device in doubles counts the bytes that it takes', async () => {
    await using device = openCpu({ precision: 'f64' });
    const seen: LoadProgress[] = [];
    const { byteLength } = await loadParameters(device, [step(1)], memory(good), {
      progress: (progress) => seen.push(progress),
    });
    expect(byteLength).toBe(24 + 24 + 12);
    expect(seen.at(-1)!.loadedBytes).toBe(byteLength);
  });

  test('axes of size one do not count, a view takes the elements as they are', async () => {
    await using device = openCpu();
    const program = record('step', (recorder) => ({
      y: add(
        recorder.input('x', f32(2, 3)),
        reshape(recorder.parameter('p', f32(2, 1, 3)), { shape: [2, 3] }),
      ),
    }));
    const source = memory({ p: { shape: [1, 2, 3], elements: [1, 2, 3, 4, 5, 6] } });
    const { tensors } = await loadParameters(device, [program], source);
    expect(await contents(device, tensors)).toEqual({
      'reshape(p, shape=[2, 3])': Float32Array.of(1, 2, 3, 4, 5, 6),
    });
  });

  test.each([
    ['f16', 'f32', [1.5, -2, 65504]],
    ['bf16', 'f32', [1.5, -2, 2 ** 100]],
    ['f32', 'f16', [1.5, -2, 2 ** -24]],
    ['bf16', 'f16', [1.5, -2, 256]],
    ['f16', 'bf16', [1.5, -2, 256]],
  ] as const)('converts %s to the %s that the program asks for', async (from, to, elements) => {
    await using device = openCpu();
    const program = record('step', (recorder) => ({
      y: add(recorder.input('x', f32(3)), recorder.parameter('p', { dtype: to, shape: [3] })),
    }));
    const { tensors } = await loadParameters(
      device,
      [program],
      memory({ p: { dtype: from, shape: [3], elements } }),
    );
    const expected = hostArray(to, 3);
    setElements(expected, to, elements);
    expect((await contents(device, tensors))['p']).toEqual(expected);
  });

  test('progress grows and ends at the total', async () => {
    await using device = openCpu();
    const seen: LoadProgress[] = [];
    await loadParameters(device, [step(1)], memory(good), {
      progress: (progress) => seen.push(progress),
    });
    expect(seen.map(({ loadedBytes }) => loadedBytes)).toEqual([12, 24, 36]);
    expect(new Set(seen.map(({ totalBytes }) => totalBytes))).toEqual(new Set([36]));
    expect(new Set(seen.map(({ name }) => name))).toEqual(new Set(['a', 'exp(b)', 'transpose(w)']));
  });

  test.each<[string, Record<string, Given | undefined>, RegExp]>([
    ['is missing', { a: undefined }, /^numbers has no tensor 'a', which program step of 1 needs/],
    [
      'has another shape',
      { w: { dtype: 'f16', shape: [3, 2], elements: [1, 2, 3, 4, 5, 6] } },
      /^tensor 'w' of numbers is f16\[3, 2\]; the model's other tensors ask for \[2, 3\]/,
    ],
    [
      'is of integers',
      { a: { dtype: 'i32', shape: [3], elements: [1, 2, 3] } },
      /^tensor 'a' of numbers is i32\[3\] and program step of 1 needs it as f32\[3\]/,
    ],
  ])('a tensor that %s is told before anything is read', async (_, change, message) => {
    const { device, living } = accountedCpu();
    const given = Object.fromEntries(
      Object.entries({ ...good, ...change }).flatMap(([name, one]) => (one ? [[name, one]] : [])),
    );
    const source = memory(given, () => expect.fail('read too early'));
    const loading = loadParameters(device, [step(1)], source);
    await expect(loading).rejects.toThrow(FormatError);
    await expect(loading).rejects.toThrow(message);
    expect(living()).toEqual([]);
  });

  test.each([NaN, Infinity, -Infinity])('%s is told with its place', async (bad) => {
    const { device, living } = accountedCpu();
    for (const name of ['a', 'b', 'w'] as const) {
      const elements = good[name].elements.map((element, i) => (i === 2 ? bad : element));
      const source = memory({ ...good, [name]: { ...good[name], elements } });
      const loading = loadParameters(device, [step(1)], source);
      await expect(loading).rejects.toThrow(FormatError);
      await expect(loading).rejects.toThrow(
        `element 2 of tensor '${name}' of numbers is not a finite number`,
      );
      expect(living()).toEqual([]);
    }
  });

  test('a number that the dtype asked for cannot hold is told, not made infinite', async () => {
    const { device, living } = accountedCpu();
    const source = memory({ ...good, w: { shape: [2, 3], elements: [1, 2, 70000, 4, 5, 6] } });
    const loading = loadParameters(device, [step(1)], source);
    await expect(loading).rejects.toThrow(FormatError);
    await expect(loading).rejects.toThrow(
      "element 2 of tensor 'w' of numbers is f32 and too large for f16",
    );
    expect(living()).toEqual([]);
  });

  test('fewer bytes than the shape holds are told', async () => {
    await using device = openCpu();
    const source: WeightSource = { ...memory(good), read: async () => new Uint8Array(5) };
    await expect(loadParameters(device, [step(1)], source)).rejects.toThrow(
      /gave 5 bytes; .* takes 12; the source is damaged/,
    );
  });

  test("the source's own error is passed on and what was loaded is given back", async () => {
    const { device, living } = accountedCpu();
    let reads = 0;
    const source = memory(good, () => {
      if (++reads === 3) throw new FormatError('the file ends here');
    });
    await expect(loadParameters(device, [step(1)], source)).rejects.toThrow('the file ends here');
    expect(living()).toEqual([]);
  });

  test('an abort in the middle gives back what was loaded', async () => {
    const { device, living } = accountedCpu();
    const controller = new AbortController();
    const loading = loadParameters(device, [step(1)], memory(good), {
      signal: controller.signal,
      progress: () => controller.abort(),
    });
    await expect(loading).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
    expect(living()).toEqual([]);
  });

  test('a progress callback that throws gives back what was loaded', async () => {
    const { device, living } = accountedCpu();
    const loading = loadParameters(device, [step(1)], memory(good), {
      progress: () => {
        throw new Error('the window was closed');
      },
    });
    await expect(loading).rejects.toThrow('the window was closed');
    expect(living()).toEqual([]);
  });

  test('programs that declare a parameter differently are refused', async () => {
    await using device = openCpu();
    const of = (dtype: PlainDType): Program =>
      record(`step in ${dtype}`, (recorder) => ({
        // Derived, so that the steps themselves take the same spec.
        y: add(recorder.input('x', f32(3)), exp(recorder.parameter('a', { dtype, shape: [3] }))),
      }));
    const loading = loadParameters(device, [of('f32'), of('f16')], memory(good));
    await expect(loading).rejects.toThrow(UsageError);
    await expect(loading).rejects.toThrow(
      "parameter 'a' is f32[3] in one program and f16[3] in program step in f16",
    );
  });

  test('programs that want a parameter in different layouts are refused', async () => {
    await using device = openCpu();
    const p = (name: string, other: boolean): Program =>
      record(name, (recorder) => {
        const parameter = recorder.parameter('p', f32(2, 2));
        const x = recorder.input('x', f32(2, 2));
        return { y: other ? multiply(x, parameter) : linear(x, parameter) };
      });
    const kernels = {
      ...device.kernels,
      parameterLayout: ({ name }: { name: string }) => (name === 'linear' ? 'tiles' : 'row-major'),
    };
    const tiled: Device = Object.create(device, { kernels: { value: kernels } }) as Device;
    const source = memory({ p: { shape: [2, 2], elements: [1, 2, 3, 4] } });
    await expect(
      loadParameters(tiled, [p('first', false), p('second', true)], source),
    ).rejects.toThrow("parameter 'p' is tiles in one program and row-major in program second");
  });

  test('a packed parameter cannot be made of a plain tensor', async () => {
    await using device = openCpu();
    const q4 = { name: 'q4', block: 2, bits: 4, scale: 'f16', axis: -1 } as const;
    const program = record('step', (recorder) => ({
      y: linear(
        recorder.input('x', f32(1, 2)),
        recorder.parameter('p', { dtype: q4, shape: [2, 2] }),
      ),
    }));
    const source = memory({ p: { shape: [2, 2], elements: [1, 2, 3, 4] } });
    const loading = loadParameters(device, [program], source);
    await expect(loading).rejects.toThrow(UsageError);
    await expect(loading).rejects.toThrow(
      "tensor 'p' of numbers is f32 and cannot be loaded as q4",
    );
  });
});
