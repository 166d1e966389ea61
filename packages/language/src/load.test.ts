import { openCpu } from '@rwkv-js/core';
import { randomWeights, specificationWeights } from '@rwkv-js/testing';
import { FormatError, type WeightEntry, type WeightSource } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { readConfig } from './config.ts';
import { LanguageModel } from './model.ts';
import { rwkv7Entries } from './rwkv7-shapes.ts';

/** A source with some of its tensors changed; undefined takes one away. */
function changed(
  source: WeightSource,
  entries: Readonly<Record<string, WeightEntry | undefined>>,
  bytes?: (name: string, data: Uint8Array) => Uint8Array,
): WeightSource {
  const tensors = new Map(source.tensors);
  for (const [name, entry] of Object.entries(entries)) {
    if (entry) tensors.set(name, entry);
    else tensors.delete(name);
  }
  return {
    ...source,
    tensors,
    read: async (name, options) => {
      const data = await source.read(name, options);
      return bytes ? bytes(name, data) : data;
    },
  };
}

async function loading(source: WeightSource): Promise<LanguageModel> {
  await using device = openCpu();
  return await LanguageModel.load(source, { device });
}

const seven = specificationWeights('7');

describe('loading a model', () => {
  test('names a tensor that is missing', async () => {
    const source = changed(seven, { 'blocks.1.att.key.weight': undefined });
    await expect(loading(source)).rejects.toThrow(
      "the specification's RWKV-7 has no tensor 'blocks.1.att.key.weight', which program " +
        'rwkv-7 step of 1 tokens, 1 rows needs as f32[16, 16]',
    );
    await expect(loading(source)).rejects.toBeInstanceOf(FormatError);
  });

  test('names a tensor of another shape with both shapes', async () => {
    const source = changed(seven, { 'blocks.1.ffn.key.weight': { dtype: 'f32', shape: [64, 17] } });
    await expect(loading(source)).rejects.toThrow(
      "tensor 'blocks.1.ffn.key.weight' of the specification's RWKV-7 is f32[64, 17]; " +
        "the model's other tensors ask for [64, 16]",
    );
  });

  test('names a tensor that holds NaN or infinity, in any dtype', async () => {
    const poisons = [
      [seven, [0, 0, 192, 127]],
      [randomWeights(rwkv7Entries(tiny, 'f16')), [0, 124]],
      [randomWeights(rwkv7Entries(tiny, 'bf16')), [192, 255]],
    ] as const;
    for (const [source, poison] of poisons) {
      const bad = changed(source, {}, (name, data) => {
        if (name === 'blocks.1.att.value.weight') data.set(poison, 3 * poison.length);
        return data;
      });
      await expect(loading(bad)).rejects.toThrow(
        `element 3 of tensor 'blocks.1.att.value.weight' of ${source.label} is not a finite number`,
      );
    }
  });

  test('names a block that is missing', async () => {
    const without = Object.fromEntries(
      [...seven.tensors.keys()]
        .filter((name) => name.startsWith('blocks.0.'))
        .map((name) => [name, undefined]),
    );
    await expect(loading(changed(seven, without))).rejects.toThrow(
      "the specification's RWKV-7 has tensors of 1 blocks, but none of block 0",
    );
  });

  test('says when a file is no RWKV model, and what it begins with', async () => {
    const source: WeightSource = {
      label: 'llama.safetensors',
      tensors: new Map([['model.embed_tokens.weight', { dtype: 'f16', shape: [3, 4] }]]),
      metadata: new Map(),
      read: async () => new Uint8Array(24),
      close: async () => undefined,
    };
    await expect(loading(source)).rejects.toThrow(
      "llama.safetensors has no tensors 'blocks.0.…' of an RWKV model in official names; " +
        'its first ones are model.embed_tokens.weight',
    );
  });

  test('refuses experimental variants by name instead of ignoring a part of them', async () => {
    const source = changed(seven, {
      'blocks.0.ffn.s_emb.weight': { dtype: 'f32', shape: [12, 4] },
    });
    await expect(loading(source)).rejects.toThrow(
      "has the tensor 'blocks.0.ffn.s_emb.weight' of an experimental RWKV variant",
    );
  });

  test('takes vectors with and without axes of size one, and an unused value mix in layer 0', async () => {
    const flat = Object.fromEntries(
      [...seven.tensors]
        .filter(([, { shape }]) => shape.length === 3)
        .map(([name, { dtype }]) => [name, { dtype, shape: [16] }]),
    );
    const unused = { 'blocks.0.att.v0': { dtype: 'f32', shape: [1, 1, 16] } } as const;
    const source = changed(seven, { ...flat, ...unused });
    const device = openCpu();
    const models = [seven, source].map((from) => LanguageModel.load(from, { device }));
    const logits = await Promise.all(
      models.map(async (load) => {
        const session = (await load).session();
        await session.feed([1, 2, 3]);
        return session.logits();
      }),
    );
    expect(logits[1]).toEqual(logits[0]);
  });

  test('reports progress that only grows and ends at all bytes', async () => {
    const device = openCpu();
    const steps: number[] = [];
    let total = 0;
    const model = await LanguageModel.load(seven, {
      device,
      progress: ({ loadedBytes, totalBytes }) => {
        steps.push(loadedBytes);
        total = totalBytes;
      },
    });
    expect(steps).toEqual([...steps].sort((a, b) => a - b));
    expect(steps.at(-1)).toBe(total);
    expect(model.bytes.parameters).toBe(total);
  });

  test('stops when it is aborted', async () => {
    const device = openCpu();
    const controller = new AbortController();
    const load = LanguageModel.load(seven, {
      device,
      signal: controller.signal,
      progress: () => controller.abort(),
    });
    await expect(load).rejects.toMatchObject({ name: 'AbortError' });
  });

  test('uses the epsilon of the head normalisation that it is given', async () => {
    const device = openCpu();
    const logits = await Promise.all(
      [64e-5, 1e-5].map(async (groupNormEpsilon) => {
        const model = await LanguageModel.load(seven, { device, groupNormEpsilon });
        const session = model.session();
        await session.feed([1, 2, 3]);
        return session.logits();
      }),
    );
    expect(logits[0]).not.toEqual(logits[1]);
  });

  test('takes the epsilon that came with the tensors, and the one it is given before that', async () => {
    const source = { ...seven, metadata: new Map([['group_norm_epsilon', '8e-5']]) };
    expect(readConfig(source).groupNormEpsilon).toBe(8e-5);
    expect(readConfig(source, { groupNormEpsilon: 1e-5 }).groupNormEpsilon).toBe(1e-5);
    const wrong = { ...seven, metadata: new Map([['group_norm_epsilon', 'tiny']]) };
    expect(() => readConfig(wrong)).toThrow(
      'say that group_norm_epsilon is "tiny"; a number above 0',
    );
  });

  test('does not normalise an embedding that is normalised already', async () => {
    const read = async (name: string): Promise<Float32Array> =>
      new Float32Array((await seven.read(name)).buffer as ArrayBuffer);
    const [embedding, weight, bias] = await Promise.all(
      ['emb.weight', 'blocks.0.ln0.weight', 'blocks.0.ln0.bias'].map(read),
    );
    for (let at = 0; at < embedding!.length; at += 16) {
      const row = embedding!.subarray(at, at + 16);
      const mean = row.reduce((sum, x) => sum + x, 0) / 16;
      const variance = row.reduce((sum, x) => sum + (x - mean) ** 2, 0) / 16;
      row.forEach((x, i) => {
        row[i] = ((x - mean) / Math.sqrt(variance + 1e-5)) * weight![i]! + bias![i]!;
      });
    }
    const folded = changed(
      seven,
      { 'blocks.0.ln0.weight': undefined, 'blocks.0.ln0.bias': undefined },
      (name, data) => (name === 'emb.weight' ? new Uint8Array(embedding!.slice().buffer) : data),
    );
    await using device = openCpu();
    const [plain, other] = await Promise.all(
      [seven, folded].map(async (source) => {
        await using model = await LanguageModel.load(source, { device });
        const session = model.session();
        await session.feed([1, 2, 3]);
        return await session.logits();
      }),
    );
    other!.forEach((logit, i) => expect(Math.abs(logit - plain![i]!)).toBeLessThan(1e-5));
  });

  test('asks for the whole norm of the embedding where a part of it is there', async () => {
    const source = changed(seven, { 'blocks.0.ln0.bias': undefined });
    await expect(loading(source)).rejects.toThrow("has no tensor 'blocks.0.ln0.bias'");
  });
});

const tiny = {
  layers: 2,
  width: 16,
  feedForwardWidth: 32,
  headSize: 8,
  vocabularySize: 12,
  ranks: { w: 4, a: 4, v: 4, g: 4 },
};

describe('the configuration', () => {
  test.each(['4', '5.0', '5.1', '5.2', '6', '7'] as const)(
    'of RWKV-%s is read off the tensors',
    (version) => {
      const config = readConfig(specificationWeights(version));
      expect(config).toMatchObject({
        version,
        layers: 2,
        width: 16,
        attentionWidth: 16,
        feedForwardWidth: version === '4' || version === '7' ? 64 : 32,
        vocabularySize: 12,
        heads: version === '4' ? 0 : 2,
        headSize: version === '4' ? 0 : 8,
        groupNormEpsilon: 64e-5,
      });
      if (version === '7') expect(config.ranks).toEqual({ w: 3, a: 4, v: 5, g: 6 });
      if (version === '6') expect(config.ranks).toEqual({ maa: 3, decay: 4 });
    },
  );

  test('refuses heads that do not divide the width', () => {
    const source = changed(seven, { 'blocks.0.att.r_k': { dtype: 'f32', shape: [3, 5] } });
    expect(() => readConfig(source)).toThrow(
      "has 3 heads and 'blocks.0.att.key.weight' has 16 rows; the heads must divide them equally",
    );
  });
});
