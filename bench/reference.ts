import { LanguageModel, rwkv7Entries } from '@rwkv-js/language';
import { randomWeights } from '@rwkv-js/testing';
import { openDevice, openWeights, stories, weightsIn, type WeightSource } from 'rwkv-js';
import { readBandwidth } from './memory-roof.ts';
import { formatTable, spread } from './table.ts';

const rounds = 9;

/** About 13 million parameters. */
const shape13M = {
  layers: 6,
  width: 384,
  feedForwardWidth: 1536,
  headSize: 64,
  vocabularySize: 2048,
  ranks: { w: 32, a: 32, v: 32, g: 64 },
};

interface Subject {
  readonly name: string;
  readonly model: LanguageModel;
  /** Bytes that one token reads: all parameters but the embedding, of which it reads a row. */
  readonly bytesPerToken: number;
  readonly seconds: Record<'decode' | 'prompt', number[]>;
}

const decodeTokens = 24;
const promptTokens = 64;

/**
 * Speed of the reference device: decode (one sequence, greedy, one token a step) and prompt (64 tokens
 * a step), beside what reading the weights at the machine's bandwidth would allow.
 */
export async function benchReference(): Promise<void> {
  const device = await openDevice('cpu');
  const subject = async (name: string, source: WeightSource): Promise<Subject> => {
    const model = await LanguageModel.load(source, { device });
    await source.close();
    const embedding = source.tensors.get('emb.weight')!;
    const table = embedding.shape[0]! * embedding.shape[1]! * (embedding.dtype === 'f32' ? 4 : 2);
    const bytesPerToken = model.bytes.parameters - table;
    return { name, model, bytesPerToken, seconds: { decode: [], prompt: [] } };
  };
  const subjects = [
    await subject('stories, 6.3M, f16', weightsIn('f16', await openWeights(stories.weights))),
    await subject('RWKV-7 6x384, 13M, f16', randomWeights(rwkv7Entries(shape13M, 'f16'))),
    await subject('RWKV-7 6x384, 13M, f32', randomWeights(rwkv7Entries(shape13M, 'f32'))),
  ];
  const roofs: number[] = [];
  // Subjects take turns, so that a machine that changes its speed changes it for all.
  for (let round = 0; round <= rounds; round++) {
    roofs.push(readBandwidth());
    for (const { model, seconds } of subjects) {
      const decode = await timeDecode(model);
      const prompt = await timePrompt(model);
      if (round === 0) continue; // warm-up
      seconds.decode.push(decode);
      seconds.prompt.push(prompt);
    }
  }
  const roof = spread(roofs).median;
  const rows = subjects.flatMap(({ name, bytesPerToken, seconds }) =>
    (['decode', 'prompt'] as const).map((kind) => {
      const { median, least, most } = spread(seconds[kind].map((time) => 1 / time));
      const bandwidth = median * bytesPerToken;
      return [
        `${name}, ${kind}`,
        median.toFixed(0),
        `${least.toFixed(0)}–${most.toFixed(0)}`,
        (bytesPerToken / 1e6).toFixed(1),
        kind === 'decode' ? `${((100 * bandwidth) / roof).toFixed(1)} %` : '',
      ];
    }),
  );
  console.log(`reference device, one thread, Node ${process.version}, ${rounds} rounds`);
  console.log(`memory read by one thread: ${(roof / 1e9).toFixed(1)} GB/s (median)\n`);
  console.log(
    formatTable(['model', 'tokens/s', 'least–most', 'MB/token', 'of the read roof'], rows),
  );
  for (const { model } of subjects) await model.dispose();
  await device.dispose();
}

/** Seconds a token of greedy writing. */
async function timeDecode(model: LanguageModel): Promise<number> {
  const session = model.session();
  await session.feed([1, 2, 3]);
  const start = performance.now();
  await session.generate({ maxTokens: decodeTokens, temperature: 0, stopTokens: [] }).text();
  const seconds = (performance.now() - start) / 1000;
  await session.dispose();
  return seconds / decodeTokens;
}

/** Seconds a token of reading. */
async function timePrompt(model: LanguageModel): Promise<number> {
  const session = model.session();
  // The last token of a feed waits for what is asked after it; one more makes the step full.
  const prompt = Array.from({ length: promptTokens + 1 }, (_, i) => (i * 37) % 2048);
  const start = performance.now();
  await session.feed(prompt);
  const seconds = (performance.now() - start) / 1000;
  await session.dispose();
  return seconds / promptTokens;
}
