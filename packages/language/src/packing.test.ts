import { openCpu } from '@rwkv-js/core';
import {
  FormatError,
  q4,
  q8,
  transposedDType,
  UsageError,
  type WeightSource,
} from '@rwkv-js/tensor';
import { randomWeights } from '@rwkv-js/testing';
import { encodeSafetensors, openWeights } from '@rwkv-js/weights';
import { describe, expect, test } from 'vitest';
import { calibrate } from './calibration.ts';
import { LanguageModel } from './model.ts';
import { weightsIn, type WeightFormat } from './packing.ts';
import { rwkv7Entries } from './rwkv7-shapes.ts';
import { withTensors } from './with-tensors.ts';

const sizes = {
  layers: 2,
  width: 64,
  feedForwardWidth: 256,
  headSize: 32,
  vocabularySize: 96,
  ranks: { w: 32, a: 32, v: 32, g: 32 },
};
const weights = (): WeightSource => randomWeights(rwkv7Entries(sizes, 'f16'));
const prompt = [1, 50, 7, 95, 0, 33];

async function logitsOf(source: WeightSource): Promise<Float32Array> {
  await using device = openCpu();
  await using model = await LanguageModel.load(source, { device });
  const session = model.session();
  await session.feed(prompt);
  return await session.logits();
}

describe('packed weights', () => {
  test('matrices are packed along the axis that they are read by, vectors stay', () => {
    const { tensors } = weightsIn('q4', weights());
    const dtypeOf = (name: string): unknown => tensors.get(`blocks.1.${name}`)!.dtype;
    expect(tensors.get('emb.weight')!.dtype).toEqual(q8);
    expect(tensors.get('head.weight')!.dtype).toEqual(q4);
    expect(dtypeOf('att.key.weight')).toEqual(q4);
    expect(dtypeOf('ffn.value.weight')).toEqual(transposedDType(q4));
    expect(dtypeOf('att.w1')).toEqual(transposedDType(q8));
    expect(dtypeOf('att.w2')).toEqual(q8);
    expect(dtypeOf('att.r_k')).toBe('f32');
    expect(dtypeOf('ln1.weight')).toBe('f32');
  });

  test.each([
    ['q8', 0.02],
    ['q4', 0.3],
  ] as const)('%s gives logits near those of the weights as they are', async (format, share) => {
    const plain = await logitsOf(weights());
    const packed = await logitsOf(weightsIn(format, weights()));
    const size = Math.hypot(...plain);
    const difference = Math.hypot(...plain.map((logit, i) => logit - packed[i]!));
    expect(difference / size).toBeLessThan(share);
    expect(difference).toBeGreaterThan(0);
  });

  test('a packed file gives the same bits as packing on the way', async () => {
    const packed = weightsIn('q4', weights());
    const tensors = await Promise.all(
      Array.from(packed.tensors, async ([name, entry]) => {
        return { name, ...entry, data: await packed.read(name) };
      }),
    );
    const source = await openWeights(encodeSafetensors(tensors));
    expect(await logitsOf(source)).toEqual(await logitsOf(packed));
    // Packed once, it stays.
    expect(await logitsOf(weightsIn('q8', source))).toEqual(await logitsOf(packed));
  });

  test('plain formats change the dtype of the matrices, and of packed ones too', async () => {
    const wide = weightsIn('f32', weightsIn('q8', weights()));
    expect(wide.tensors.get('emb.weight')).toEqual({ dtype: 'f32', shape: [96, 64] });
    expect((await wide.read('emb.weight')).length).toBe(96 * 64 * 4);
    const narrow = weightsIn('bf16', weights());
    expect(narrow.tensors.get('blocks.0.att.g2')).toEqual({ dtype: 'bf16', shape: [32, 64] });
    expect(narrow.tensors.get('ln_out.bias')!.dtype).toBe('f32');
  });

  test('numbers that f16 does not hold are a FormatError', async () => {
    const large = withTensors(
      { ...weights(), tensors: new Map() },
      { 'head.weight': Float32Array.of(1, 70_000) },
    );
    await expect(weightsIn('f16', large).read('head.weight')).rejects.toThrow(FormatError);
    await expect(weightsIn('f16', large).read('head.weight')).rejects.toThrow(
      "element 1 of tensor 'head.weight' of random numbers is too large for f16",
    );
  });

  test('4 bits with statistics weigh errors by what a matrix is multiplied with', async () => {
    await using device = openCpu();
    const tokens = Array.from({ length: 130 }, (_, i) => (i * 37) % 96);
    const statistics = await calibrate(weights(), tokens, { device });
    expect(statistics.tokens).toBe(128);
    expect(statistics.meanSquares.size).toBe(2 * 6 + 1);
    const plain = await logitsOf(weights());
    const off = async (source: WeightSource): Promise<number> => {
      const logits = await logitsOf(source);
      return Math.hypot(...logits.map((logit, i) => logit - plain[i]!));
    };
    const weighed = await off(weightsIn('q4', weights(), { statistics }));
    const alike = await off(weightsIn('q4', weights()));
    expect(weighed).toBeLessThan(1.1 * alike);
    const other = { tokens: 64, meanSquares: new Map([['head.weight', new Float32Array(3)]]) };
    expect(() => weightsIn('q4', weights(), { statistics: other })).toThrow(UsageError);
    await expect(calibrate(weights(), [1, 2], { device })).rejects.toThrow('the text has 2 tokens');
  });

  test('statistics are the mean squares of what the matrices are multiplied with', async () => {
    await using device = openCpu();
    const tokens = Array.from({ length: 64 }, (_, i) => (i * 37) % 96);
    const { meanSquares } = await calibrate(weights(), tokens, { device });
    // A layer norm of weight 1 ± 0.1 ends before the head: its output has a mean square near 1.
    const head = meanSquares.get('head.weight')!;
    const mean = head.reduce((sum, square) => sum + square, 0) / head.length;
    expect(mean).toBeGreaterThan(0.8);
    expect(mean).toBeLessThan(1.25);
  });

  test('a format that is none is a UsageError', () => {
    expect(() => weightsIn('q2' as WeightFormat, weights())).toThrow(UsageError);
  });
});
