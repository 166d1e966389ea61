import { describeShared, sharedPath } from '@rwkv-js/testing';
import { openTokenizer, openWeights, stories, writeGguf, type GgufWriteType } from 'rwkv-js';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { LlamaCpp } from './llama-cpp.ts';
import { openPeer } from './peers.ts';

const peer = await openPeer<LlamaCpp>('node-llama-cpp');
const path = sharedPath('models/stories/expected.safetensors');

describeShared('a GGUF file of the stories model in node-llama-cpp', () => {
  test.skipIf(!peer).each([
    ['F32', 40],
    ['F16', 40],
  ] as const)('%s: writes the same %i greedy tokens', async (type, count) => {
    const folder = await mkdtemp(join(tmpdir(), 'rwkv-llama-'));
    try {
      const modelPath = join(folder, 'stories.gguf');
      await writeStories(modelPath, type);
      const llama = await peer!.module.getLlama({ gpu: false, build: 'never', logLevel: 'error' });
      const model = await llama.loadModel({ modelPath });
      const text = 'Once upon a time, there was "Tom\'s" cat.';
      const tokenizer = await openTokenizer(stories.vocabulary);
      expect(model.tokenize(text)).toEqual([...tokenizer.encode(text)]);
      const context = await model.createContext({ contextSize: 256, threads: 1 });
      const { prompt, greedy } = await expected();
      const tokens: number[] = [];
      for await (const token of context.getSequence().evaluate(prompt, { temperature: 0 })) {
        tokens.push(token);
        if (tokens.length === count) break;
      }
      expect(tokens).toEqual(greedy.slice(0, count));
      await model.dispose();
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});

async function writeStories(target: string, type: GgufWriteType): Promise<void> {
  const weights = await openWeights(sharedPath('models/stories/model.safetensors'));
  const tokenizer = await openTokenizer(stories.vocabulary);
  const vocabulary = Array.from({ length: tokenizer.vocabularySize }, (_, id) => {
    const bytes = tokenizer.tokenBytes(id);
    return bytes.length === 0 ? undefined : bytes;
  });
  await writeGguf(target, weights, { type, vocabulary });
  await weights.close();
}

async function expected(): Promise<{ prompt: number[]; greedy: number[] }> {
  const source = await openWeights(path);
  const read = async (name: string): Promise<number[]> => {
    const bytes = await source.read(name);
    return [...new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength / 4)];
  };
  const result = { prompt: await read('prompt'), greedy: await read('greedy') };
  await source.close();
  return result;
}
