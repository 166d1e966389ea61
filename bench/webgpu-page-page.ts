/** What the benchmark `webgpu-page` calls in a page. */
import { LanguageModel, weightsIn, type WeightFormat } from '@rwkv-js/language';
import { openWebGpu } from '@rwkv-js/webgpu';
import { openWeights } from 'rwkv-js';

/** The adapter, and bytes a second that a copy on it reads and writes. */
export async function adapter(): Promise<{ readonly name: string; readonly roof: number }> {
  await using device = await openWebGpu();
  return { name: device.info.description, roof: await device.roof() };
}

/** Speeds of one model. */
export interface PageSpeed {
  /** Tokens a second with one sequence, sampling included, each round. */
  readonly writing: readonly number[];
  /** Tokens of a prompt a second, each round. */
  readonly reading: readonly number[];
  /** Bytes of parameters that writing a token reads. */
  readonly bytes: number;
}

/** Measures the model that is served as `path`. */
export async function measure(
  path: string,
  format: WeightFormat,
  { rounds, tokens, prompt }: { rounds: number; tokens: number; prompt: number },
): Promise<PageSpeed> {
  await using device = await openWebGpu();
  const opened = await openWeights(await (await fetch(path)).blob());
  // The file is packed in 8 bits: its numbers are packed anew.
  const source = weightsIn(format, weightsIn('f16', opened));
  const [vocabulary = 0, width = 0] = source.tensors.get('emb.weight')!.shape;
  await using model = await LanguageModel.load(source, { device });
  await source.close();
  const [writing, reading]: [number[], number[]] = [[], []];
  // The first round warms up.
  for (let round = 0; round <= rounds; round++) {
    const session = model.session();
    let started = performance.now();
    // The last token of a feed waits for what is asked after it; one more makes the step full.
    await session.feed(Array.from({ length: prompt + 1 }, (_, i) => (i * 37) % vocabulary));
    const read = (1000 * prompt) / (performance.now() - started);
    started = performance.now();
    await session.generate({ maxTokens: tokens, seed: round, stopTokens: [] }).text();
    const written = (1000 * tokens) / (performance.now() - started);
    await session.dispose();
    if (round === 0) continue;
    writing.push(written);
    reading.push(read);
  }
  // Of the embedding, kept in 16 bits in every format, a step reads a row.
  const bytes = model.bytes.parameters - 2 * vocabulary * width;
  return { writing, reading, bytes };
}
