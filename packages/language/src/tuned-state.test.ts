import { openCpu } from '@rwkv-js/core';
import { specificationNumber, specificationWeights } from '@rwkv-js/testing';
import { FormatError, type WeightSource } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { LanguageModel } from './model.ts';

const values = (layer: number): Float32Array =>
  Float32Array.from({ length: 128 }, (_, i) => specificationNumber(1000 * layer + i));

/** A source with a tuned state in these layers, of that shape. */
function tuned(source: WeightSource, layers: readonly number[], shape = [2, 8, 8]): WeightSource {
  const name = (layer: number): string => `blocks.${layer}.att.time_state`;
  const entries = layers.map((layer) => [name(layer), { dtype: 'f32', shape }] as const);
  return {
    ...source,
    tensors: new Map([...source.tensors, ...entries]),
    async read(wanted, options) {
      const layer = layers.find((one) => name(one) === wanted);
      return layer === undefined
        ? source.read(wanted, options)
        : new Uint8Array(values(layer).slice().buffer);
    },
  };
}

describe('a model with a tuned state', () => {
  test.each(['5.0', '5.1', '5.2', '6', '7'] as const)(
    'begins its sessions with it, RWKV-%s',
    async (version) => {
      await using device = openCpu();
      const source = tuned(specificationWeights(version), [0, 1]);
      await using model = await LanguageModel.load(source, { device, slots: 1 });
      const { tensors } = await model.session().save();
      // The file has [head, value, key]; RWKV-7 keeps that, the others [head, key, value].
      const [head, row, column] = [1, 2, 5];
      const kept = tensors.get('state.1.wkv')!;
      const inFile = version === '7' ? [row, column] : [column, row];
      expect(kept[head * 64 + row * 8 + column]).toBe(
        values(1)[head * 64 + inFile[0]! * 8 + inFile[1]!],
      );
      expect(tensors.get('state.1.att_x')!.every((x) => x === 0)).toBe(true);
    },
  );

  test('begins every session with it, whoever had the slot before', async () => {
    await using device = openCpu();
    const source = tuned(specificationWeights('7'), [0, 1]);
    await using model = await LanguageModel.load(source, { device, slots: 1 });
    const logits = [];
    for (let i = 0; i < 2; i++) {
      const session = model.session();
      await session.feed([1, 2, 3]);
      logits.push(await session.logits());
    }
    expect(logits[0]).toEqual(logits[1]);
    await using plain = await LanguageModel.load(specificationWeights('7'), { device });
    const session = plain.session();
    await session.feed([1, 2, 3]);
    expect(await session.logits()).not.toEqual(logits[0]);
  });

  test.each([
    ['7', [0], [2, 8, 8], "without 'blocks.1.att.time_state'"],
    ['7', [0, 1, 2], [2, 8, 8], 'and the model has 2 layers'],
    ['7', [0, 1], [4, 8, 4], 'is f32 [4, 8, 4]; the state of this model is [2, 8, 8]'],
    ['4', [0, 1], [2, 8, 8], 'RWKV-4 has no such state'],
  ] as const)('is refused when it is of another model: %s %s %s', async (...given) => {
    const [version, layers, shape, says] = given;
    await using device = openCpu();
    const source = tuned(specificationWeights(version), layers, [...shape]);
    const loading = LanguageModel.load(source, { device });
    await expect(loading).rejects.toThrow(says);
    await expect(loading).rejects.toBeInstanceOf(FormatError);
  });
});
