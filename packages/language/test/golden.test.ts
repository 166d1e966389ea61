import { existsSync } from 'node:fs';
import { openCpu } from '@rwkv-js/core';
import { describeShared, sharedPath } from '@rwkv-js/testing';
import { viewBytes, type HostArray, type WeightSource } from '@rwkv-js/tensor';
import { openWeights } from '@rwkv-js/weights';
import { describe, expect, test } from 'vitest';
import { LanguageModel } from '../src/index.ts';

const folders = ['v4', 'v5.0', 'v5.1', 'v5.2', 'v6', 'v7', 'v7-head64'];
const files = [
  'model.safetensors',
  'model.f16.safetensors',
  'model.bf16.safetensors',
  'model.pth',
  'model.legacy.pth',
  'model.views.pth',
];

const greedy = { temperature: 0, presencePenalty: 0, frequencyPenalty: 0, stopTokens: [] };

describeShared('the golden models in official names', () => {
  for (const folder of folders) {
    describe(folder, () => {
      const present = files.filter((file) => existsSync(sharedPath(`golden/${folder}/${file}`)));

      test('come in at least one file', () => {
        expect(present).not.toEqual([]);
      });

      test.each(present)('%s gives the logits, states and greedy tokens', async (file) => {
        const expected = await openWeights(sharedPath(`golden/${folder}/expected.safetensors`));
        const source = await openWeights(sharedPath(`golden/${folder}/${file}`));
        await using device = openCpu();
        await using model = await LanguageModel.load(source, { device });
        await source.close();
        const tokens = await elements(expected, 'tokens');
        const logits = await elements(expected, 'logits');
        const { vocabularySize } = model.config;

        const session = model.session();
        let worst = 0;
        await session.feedWithLogits(tokens, (row, index) => {
          row.forEach((logit, i) => {
            worst = Math.max(worst, Math.abs(logit - logits[index * vocabularySize + i]!));
          });
        });
        expect(worst).toBeLessThanOrEqual(2e-4);

        const state = await session.save();
        const names = [...expected.tensors.keys()].filter((name) => name.startsWith('state.'));
        expect(names.length).toBeGreaterThan(0);
        expect(names.sort()).toEqual([...state.tensors.keys()].sort());
        for (const name of names) {
          const want = await elements(expected, name);
          const found = state.tensors.get(name)!;
          expect(found.length).toBe(want.length);
          want.forEach((value, i) => {
            const relative = Math.abs(found[i]! - value) / Math.max(1, Math.abs(value));
            expect(relative, `${name}[${i}]`).toBeLessThanOrEqual(2e-4);
          });
        }

        const generation = session.generate({ ...greedy, maxTokens: 48 });
        await generation.text();
        expect(generation.tokens).toEqual([...(await elements(expected, 'greedy'))]);
        await expected.close();
      });
    });
  }
});

describeShared('the stories model', () => {
  test('gives its logits and its 40 greedy tokens', async () => {
    const expected = await openWeights(sharedPath('models/stories/expected.safetensors'));
    const source = await openWeights(sharedPath('models/stories/model.safetensors'));
    await using device = openCpu();
    await using model = await LanguageModel.load(source, { device });
    await source.close();
    const session = model.session();
    await session.feed(await elements(expected, 'prompt'));
    const logits = await session.logits();
    // In this file the logits are doubles, which no dtype of the family holds; its last row, by hand.
    const { data, offset } = await lastRow(sharedPath('models/stories/expected.safetensors'));
    logits.forEach((logit, i) => expect(Math.abs(logit - data[offset + i]!)).toBeLessThan(2e-4));
    const generation = session.generate({ ...greedy, maxTokens: 40 });
    await generation.text();
    expect(generation.tokens).toEqual([...(await elements(expected, 'greedy'))]);
    await expected.close();
  });
});

async function elements(source: WeightSource, name: string): Promise<HostArray> {
  return viewBytes(source.tensors.get(name)!.dtype, await source.read(name));
}

async function lastRow(path: string): Promise<{ data: Float64Array; offset: number }> {
  const { readFile } = await import('node:fs/promises');
  const bytes = await readFile(path);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + headerLength).toString()) as Record<
    string,
    { data_offsets: [number, number]; shape: [number, number] }
  >;
  const { data_offsets, shape } = header['logits']!;
  const start = 8 + headerLength + data_offsets[0];
  const data = new Float64Array(
    bytes.buffer.slice(
      bytes.byteOffset + start,
      bytes.byteOffset + start + shape[0] * shape[1] * 8,
    ),
  );
  return { data, offset: (shape[0] - 1) * shape[1] };
}
