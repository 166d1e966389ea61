import {
  calibrate,
  openDevice,
  openTokenizer,
  openWeights,
  stories,
  weightsIn,
  LanguageModel,
  type Device,
  type WeightSource,
} from 'rwkv-js';
import { convert, isPacked, pack, viewBytes } from '@rwkv-js/tensor';
import { readShared, sharedPath } from '@rwkv-js/testing';
import { formatTable } from './table.ts';

/** Tokens that are scored. */
const scored = 2000;

interface Result {
  /** Mean of −ln p over the tokens. */
  readonly nats: number;
  /** The likeliest token after each. */
  readonly greedy: readonly number[];
  readonly bytes: number;
}

/**
 * What packing costs the stories model on text that it was not trained on: nats a token, and the share of
 * places where the likeliest token stays. It needs the reference data.
 */
export async function benchPacking(): Promise<void> {
  const text = new TextDecoder()
    .decode(readShared('models/stories/validation.txt'))
    .replaceAll('<|endoftext|>\n', '');
  const tokenizer = await openTokenizer(stories.vocabulary);
  const tokens = [...tokenizer.encode(text)];
  const held = tokens.slice(0, scored);
  // What is measured for the 4-bit format comes from another part of the text.
  const measured = tokens.slice(2 * scored, 4 * scored);
  await using device = await openDevice();
  const weights = await openWeights(sharedPath('models/stories/model.safetensors'));
  const statistics = await calibrate(weights, measured, { device });
  const kinds: readonly (readonly [name: string, source: WeightSource])[] = [
    ['f16, as shipped', weights],
    ['q8', weightsIn('q8', weights)],
    ['q4, rounded to the nearest', roundedToNearest(weights)],
    ['q4, scales of least error', weightsIn('q4', weights)],
    ['q4, weighed by statistics', weightsIn('q4', weights, { statistics })],
  ];
  const results: Result[] = [];
  for (const [name, source] of kinds) {
    console.error(`scoring ${name}`);
    results.push(await score(source, device, held));
  }
  await weights.close();
  const [base] = results;
  const rows = results.map(({ nats, greedy, bytes }, i) => [
    kinds[i]![0],
    (bytes / 1e6).toFixed(2),
    nats.toFixed(4),
    i === 0 ? '' : (nats - base!.nats).toFixed(4),
    `${((100 * greedy.filter((token, at) => token === base!.greedy[at]).length) / scored).toFixed(1)} %`,
  ]);
  console.log(formatTable(['weights', 'MB', 'nats a token', 'cost', 'greedy kept'], rows));
}

async function score(
  source: WeightSource,
  device: Device,
  tokens: readonly number[],
): Promise<Result> {
  await using model = await LanguageModel.load(source, { device, slots: 1 });
  await using session = model.session();
  let nats = 0;
  const greedy: number[] = [];
  await session.feedWithLogits([0, ...tokens.slice(0, -1)], (logits, at) => {
    const most = logits.reduce((a, b) => Math.max(a, b), -Infinity);
    const sum = logits.reduce((total, logit) => total + Math.exp(logit - most), 0);
    nats += most + Math.log(sum) - logits[tokens[at]!]!;
    greedy.push(logits.indexOf(most));
  });
  return { nats: nats / tokens.length, greedy, bytes: model.bytes.parameters };
}

/** 4 bits with the plain scale of each block, which is what others are held against. */
function roundedToNearest(weights: WeightSource): WeightSource {
  const packed = weightsIn('q4', weights);
  return {
    ...packed,
    async read(name, options) {
      const { dtype, shape } = packed.tensors.get(name)!;
      if (!isPacked(dtype) || dtype.bits === 8) return packed.read(name, options);
      const entry = weights.tensors.get(name)!;
      if (isPacked(entry.dtype)) throw new Error('the shipped weights are plain');
      const values = viewBytes(entry.dtype, await weights.read(name, options));
      return pack({ dtype, shape }, convert(values, entry.dtype, 'f32') as Float32Array);
    },
  };
}
