import { writeGguf, type GgufWriteType } from 'rwkv-js';
import type { WeightSource } from '@rwkv-js/tensor';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { prompt, rateOf, type Contender } from './contender.ts';
import { openPeer } from './peers.ts';

/** What of node-llama-cpp is used. */
export interface LlamaCpp {
  getLlama(options: {
    gpu: false;
    build: 'never';
    logLevel: 'error';
    /** 0: as many threads as a context asks for, always. */
    maxThreads?: number;
  }): Promise<{ loadModel(options: { modelPath: string }): Promise<LlamaModel> }>;
}

interface LlamaModel {
  createContext(options: {
    contextSize: number;
    threads: number;
    sequences?: number;
    batchSize?: number;
  }): Promise<LlamaContext>;
  tokenize(text: string): number[];
  dispose(): Promise<void>;
}

interface LlamaContext {
  getSequence(): LlamaSequence;
  dispose(): Promise<void>;
}

interface LlamaSequence {
  evaluate(
    tokens: number[],
    options: { temperature: number; yieldEogToken?: boolean },
  ): AsyncIterable<number>;
  evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
  clearHistory(): Promise<void>;
}

const types: Readonly<Record<'f16' | 'q8' | 'q4', GgufWriteType>> = {
  f16: 'F16',
  q8: 'Q8_0',
  q4: 'Q4_0',
};

/**
 * node-llama-cpp with the weights of a source, by way of a GGUF file of them, on each number of threads;
 * none where it is not installed.
 *
 * @param vocabulary the bytes of every token, which llama.cpp wants to have
 */
export async function openLlamaCpp(
  name: string,
  source: WeightSource,
  {
    format,
    threads,
    vocabulary,
  }: {
    readonly format: 'f16' | 'q8' | 'q4';
    readonly threads: readonly number[];
    readonly vocabulary: readonly (Uint8Array | undefined)[];
  },
): Promise<Contender[]> {
  const peer = await openPeer<LlamaCpp>('node-llama-cpp');
  if (!peer) return [];
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-llama-'));
  const modelPath = join(folder, 'model.gguf');
  await writeGguf(modelPath, source, { type: types[format], vocabulary });
  const llama = await peer.module.getLlama({
    gpu: false,
    build: 'never',
    logLevel: 'error',
    maxThreads: 0,
  });
  const model = await llama.loadModel({ modelPath });
  let open = threads.length;
  return Promise.all(
    threads.map(async (count): Promise<Contender> => {
      const context = await model.createContext({
        contextSize: 1024,
        threads: count,
        sequences: 16,
        batchSize: prompt.length,
      });
      const sequences = Array.from({ length: 16 }, () => context.getSequence());
      return {
        name: `${name} node-llama-cpp ${peer.version}, ${count} thread${count > 1 ? 's' : ''}`,
        async decode(wanted, tokens) {
          const used = sequences.slice(0, wanted);
          for (const [i, sequence] of used.entries()) {
            await sequence.clearHistory();
            await sequence.evaluateWithoutGeneratingNewTokens([1 + i, 2]);
          }
          return rateOf(wanted * tokens, () =>
            Promise.all(used.map((sequence) => write(sequence, tokens))),
          );
        },
        async prompt() {
          const [sequence] = sequences;
          await sequence!.clearHistory();
          return rateOf(prompt.length, () =>
            sequence!.evaluateWithoutGeneratingNewTokens([...prompt]),
          );
        },
        async close() {
          await context.dispose();
          open -= 1;
          if (open > 0) return;
          await model.dispose();
          await rm(folder, { recursive: true });
        },
      };
    }),
  );
}

async function write(sequence: LlamaSequence, count: number): Promise<void> {
  let left = count;
  const tokens = sequence.evaluate([3], { temperature: 0, yieldEogToken: true });
  for await (const _ of tokens) {
    left -= 1;
    if (left === 0) return;
  }
  throw new Error('node-llama-cpp wrote fewer tokens than it was asked for');
}
