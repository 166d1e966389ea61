import { gatherRows, linear, linearSquaredRelu } from '@rwkv-js/core';
import { LanguageModel, rwkv7Entries, weightsIn } from '@rwkv-js/language';
import { RandomTensors, randomWeights, tolerances } from '@rwkv-js/testing';
import {
  f32,
  i32,
  loadParameters,
  pack,
  q4,
  q8,
  record,
  transposedDType,
  UsageError,
  type Device,
  type DType,
  type HostArray,
  type PackedSpec,
  type Value,
  type WeightSource,
} from '@rwkv-js/tensor';
import { afterAll, expect, test } from 'vitest';
import { describeOn, openForTests } from '../test/adapter.ts';

/** Bytes that a kernel may see of a buffer: weights below are several times as large. */
const largestBinding = 40960;
const [whole, small] = [await openForTests(), await openForTests({}, { largestBinding })];
afterAll(() => Promise.all([whole?.dispose(), small?.dispose()]));

const random = new RandomTensors(41);
const [rows, width] = [1536, 64];

/** One weight as a source, which tells how often it was read. */
function sourceOf(dtype: DType): WeightSource & { readonly reads: readonly string[] } {
  const plain = random.floats([rows, width]);
  const spec = { dtype, shape: [rows, width] };
  const bytes =
    typeof dtype === 'object'
      ? pack(spec as PackedSpec, plain.data as Float32Array)
      : new Uint8Array(random.floats([rows, width], -1, 1, dtype as 'f32').data.slice().buffer);
  const reads: string[] = [];
  return {
    label: 'one weight',
    tensors: new Map([['weight', spec]]),
    metadata: new Map(),
    reads,
    read: async (name) => {
      reads.push(name);
      return bytes.slice();
    },
    close: async () => undefined,
  };
}

/** What an operation on the weight gives on a device, and into how many tensors the weight went. */
async function outcome(
  device: Device,
  source: WeightSource,
  given: HostArray,
  build: (weight: Value, given: Value) => Value,
): Promise<{ readonly y: HostArray; readonly tensors: number }> {
  const isIndexes = given instanceof Int32Array;
  const program = record('on one weight', (recorder) => {
    const spec = isIndexes ? i32(given.length) : f32(given.length / width, width);
    const weight = recorder.parameter('weight', source.tensors.get('weight')!);
    return { y: build(weight, recorder.input('given', spec)) };
  });
  const parameters = await loadParameters(device, [program], source);
  const step = await device.compile(program, { parameters: parameters.tensors });
  step.run({ given });
  const { y } = await step.read('y');
  step.dispose();
  parameters.dispose();
  return { y, tensors: parameters.tensors.size };
}

describeOn(small, 'a weight larger than a binding', (device) => {
  const reference = whole!;

  test.each([
    ['f32', 'f32'],
    ['f16', 'f16'],
    ['bf16', 'bf16'],
    ['q8', q8],
    ['q4', q4],
  ] as const)('in %s is multiplied in parts of its rows, with the same bits', async (_, dtype) => {
    const source = sourceOf(dtype);
    for (const tokens of [1, 4, 6]) {
      const x = random.floats([tokens, width]).data;
      for (const build of [linear, linearSquaredRelu]) {
        const product = (weight: Value, given: Value): Value => build(given, weight);
        const expected = await outcome(reference, source, x, product);
        const found = await outcome(device, source, x, product);
        expect(found.y, `${tokens} ${build.definition.name}`).toEqual(expected.y);
        expect(expected.tensors).toBe(1);
        expect(found.tensors).toBeGreaterThan(1);
      }
    }
  });

  test('packed by columns gives the same but for the order of its sums', async () => {
    const source = sourceOf(transposedDType(q8));
    const x = random.floats([2, width]).data;
    const product = (weight: Value, given: Value): Value => linear(given, weight);
    const expected = await outcome(reference, source, x, product);
    const found = await outcome(device, source, x, product);
    expect(found.tensors).toBeGreaterThan(1);
    expected.y.forEach((value, i) => {
      const difference = Math.abs(found.y[i]! - value) / Math.max(1, Math.abs(value));
      expect(difference).toBeLessThanOrEqual(tolerances.sums);
    });
  });

  test.each([
    ['f32', 'f32'],
    ['f16', 'f16'],
    ['q8', q8],
  ] as const)('in %s gives its rows by index', async (_, dtype) => {
    const source = sourceOf(dtype);
    const indexes = Int32Array.of(0, rows - 1, -1, 63, 64, 65, 200, 200);
    const expected = await outcome(reference, source, indexes, gatherRows);
    const found = await outcome(device, source, indexes, gatherRows);
    expect(found.y).toEqual(expected.y);
    expect(found.tensors).toBeGreaterThan(1);
  });

  test('is read once for all its parts', async () => {
    const source = sourceOf('f32');
    const { tensors } = await outcome(device, source, Int32Array.of(1), gatherRows);
    expect(tensors).toBeGreaterThan(4);
    // Its last part is shorter, but there is nothing else to load in between.
    expect(source.reads).toEqual(['weight']);
  });

  test('of which one row is too large is refused in words', async () => {
    const program = record('one row', (recorder) => {
      const weight = recorder.parameter('weight', f32(2, 16384));
      return { y: linear(recorder.input('x', f32(1, 16384)), weight) };
    });
    const refused = device.compile(program);
    await expect(refused).rejects.toThrow(UsageError);
    await expect(refused).rejects.toThrow(
      /linear takes .* device webgpu holds 40960 bytes; record it in smaller parts/,
    );
  });

  test('is no matter to a model: the same logits, a prompt and a token at a time', async () => {
    const shape = {
      layers: 1,
      width: 64,
      feedForwardWidth: 256,
      headSize: 32,
      vocabularySize: 600,
      ranks: { w: 32, a: 32, v: 32, g: 32 },
    };
    const logits = async (on: Device): Promise<readonly Float32Array[]> => {
      const source = weightsIn('f16', randomWeights(rwkv7Entries(shape, 'f32')));
      await using model = await LanguageModel.load(source, { device: on, slots: 1 });
      const session = model.session();
      await session.feed(Array.from({ length: 20 }, (_, i) => (i * 37) % 600));
      const first = await session.logits();
      await session.feed([7]);
      return [first, await session.logits()];
    };
    const expected = await logits(reference);
    expect(await logits(device)).toEqual(expected);
  });
});
