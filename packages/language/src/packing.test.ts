import { openCpu } from '@rwkv-js/core';
import { q4, q8, transposedDType, UsageError, type WeightSource } from '@rwkv-js/tensor';
import { randomWeights } from '@rwkv-js/testing';
import { encodeSafetensors, openWeights } from '@rwkv-js/weights';
import { describe, expect, test } from 'vitest';
import { LanguageModel } from './model.ts';
import { packedWeights, type PackingFormat } from './packing.ts';
import { rwkv7Entries } from './rwkv7-shapes.ts';

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
    const { tensors } = packedWeights(weights(), 'q4');
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
    const packed = await logitsOf(packedWeights(weights(), format));
    const size = Math.hypot(...plain);
    const difference = Math.hypot(...plain.map((logit, i) => logit - packed[i]!));
    expect(difference / size).toBeLessThan(share);
    expect(difference).toBeGreaterThan(0);
  });

  test('a packed file gives the same bits as packing on the way', async () => {
    const packed = packedWeights(weights(), 'q4');
    const tensors = await Promise.all(
      Array.from(packed.tensors, async ([name, entry]) => {
        return { name, ...entry, data: await packed.read(name) };
      }),
    );
    const source = await openWeights(encodeSafetensors(tensors));
    expect(await logitsOf(source)).toEqual(await logitsOf(packed));
    // Packed once, it stays.
    expect(await logitsOf(packedWeights(source, 'q8'))).toEqual(await logitsOf(packed));
  });

  test('a format that is none is a UsageError', () => {
    expect(() => packedWeights(weights(), 'q2' as PackingFormat)).toThrow(UsageError);
  });
});
