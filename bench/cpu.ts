import { linear, quantize } from '@rwkv-js/core';
import { LanguageModel, releasedShapes, rwkv7Entries, weightsIn } from '@rwkv-js/language';
import {
  f32,
  isPacked,
  loadParameters,
  record,
  type Device,
  type TensorSpec,
  type Value,
  type WeightSource,
} from '@rwkv-js/tensor';
import { openTokenizer, openWasm, openWeights, stories } from 'rwkv-js';
import { prompt, rateOf, type Contender, type Rate } from './contender.ts';
import { openLlamaCpp } from './llama-cpp.ts';
import { readBandwidth } from './memory-roof.ts';
import { quickWeights } from './quick-weights.ts';
import { formatTable, spread } from './table.ts';

const formats = ['f16', 'q8', 'q4'] as const;

type Format = (typeof formats)[number];

const threadCounts = [1, 2];

/** A model that is measured. */
interface BenchedModel {
  readonly name: string;
  /** Its weights, all matrices in a format. */
  open(format: Format): Promise<WeightSource>;
  /** The bytes of its tokens. */
  vocabulary(): Promise<readonly (Uint8Array | undefined)[]>;
  /** Tokens that each sequence writes in a round, of 1, 4 and 16 sequences. */
  readonly tokens: readonly [one: number, four: number, sixteen: number];
  readonly rounds: number;
}

const models: readonly BenchedModel[] = [
  {
    name: 'stories',
    // It is shipped as q8, and what is packed stays so.
    open: async (format) => weightsIn(format, weightsIn('f16', await openWeights(stories.weights))),
    vocabulary: storiesVocabulary,
    tokens: [200, 100, 40],
    rounds: 5,
  },
  {
    name: '0.1b',
    open: async (format) => inFormat('0.1b', format),
    vocabulary: async () => numberedTokens,
    tokens: [12, 6, 3],
    rounds: 3,
  },
  {
    name: '0.4b',
    open: async (format) => inFormat('0.4b', format),
    vocabulary: async () => numberedTokens,
    tokens: [6, 3, 2],
    rounds: 2,
  },
];

/** One of ours, with what is known of it. */
interface Measured extends Contender {
  /** Bytes of weights that a step reads. */
  readonly bytes: number;
  /** Bytes a second of a product alone, in the same dtype with as many threads. */
  kernelRoof(): Promise<number>;
}

const speeds = ['decode 1', 'decode 4', 'decode 16', 'prompt 512'] as const;

/**
 * Speed of the wasm device: decode of 1, 4 and 16 sequences and a prompt, for the stories model and for the
 * shapes of RWKV-7 0.1B and 0.4B, on one thread and two, beside the memory's roof and the kernels' own, and
 * beside node-llama-cpp with the same weights where it is installed.
 *
 *     npm run bench -- cpu ['0.1b q8']
 *
 * @param only a part of the names to keep, such as `0.1b` or `stories q4`
 */
export async function benchCpu(only: string): Promise<void> {
  console.log(`wasm device, Node ${process.version}, tokens a second: median, least–most\n`);
  for (const model of models) {
    for (const format of formats) {
      if (`${model.name} ${format}`.includes(only)) await benchModel(model, format);
    }
  }
}

async function benchModel(model: BenchedModel, format: Format): Promise<void> {
  const name = `${model.name} ${format}`;
  const own: Measured[] = [];
  for (const threads of threadCounts) {
    own.push(
      await ours(`${name}, ${threads === 1 ? 'one thread' : `${threads} threads`}`, {
        source: await model.open(format),
        threads,
      }),
    );
  }
  const source = await model.open(format);
  const peers = await openLlamaCpp(name, source, {
    format,
    threads: threadCounts,
    vocabulary: await model.vocabulary(),
  });
  await source.close();
  const all = [...own, ...peers];

  const rates = new Map(all.map((contender) => [contender, speeds.map((): Rate[] => [])]));
  const roofs = new Map(own.map((contender) => [contender, [] as number[]]));
  const memory: number[] = [];
  // In turns, so that a machine that changes its speed changes it for all. Round 0 warms up.
  for (let round = 0; round <= model.rounds; round++) {
    if (round > 0) memory.push(readBandwidth());
    for (const contender of all) {
      const [one, four, sixteen] = model.tokens;
      const found = [
        await contender.decode(1, one),
        await contender.decode(4, four),
        await contender.decode(16, sixteen),
        await contender.prompt(),
      ];
      if (round > 0) found.forEach((rate, which) => rates.get(contender)![which]!.push(rate));
    }
    for (const contender of own) {
      const roof = await contender.kernelRoof();
      if (round > 0) roofs.get(contender)!.push(roof);
    }
  }
  for (const contender of all) await contender.close();

  const clock = (contender: Contender, which: number): number[] =>
    rates.get(contender)![which]!.map(({ byClock }) => byClock);
  const best = (of: readonly Contender[], which: number): number =>
    Math.max(...of.map((contender) => spread(clock(contender, which)).median));
  const rows = all.map((contender) => [
    contender.name,
    ...speeds.flatMap((_, which) => show(clock(contender, which))),
    ...[0, 3].map((which) =>
      spread(rates.get(contender)![which]!.map(({ byProcessor }) => byProcessor)).median.toFixed(0),
    ),
  ]);
  if (peers.length > 0) {
    const ratios = speeds.flatMap((_, which) => [
      `${(best(own, which) / best(peers, which)).toFixed(2)} ×`,
      '',
    ]);
    rows.push(['best of ours to best of node-llama-cpp', ...ratios, '', '']);
  }
  const heading = [
    name,
    ...speeds.flatMap((speed) => [speed, '']),
    'decode a CPU s',
    'prompt a CPU s',
  ];
  console.log(formatTable(heading, rows));

  const gigabytes = (bytes: number): string => (bytes / 1e9).toFixed(1);
  console.log(`memory read by one thread: ${gigabytes(spread(memory).median)} GB/s`);
  for (const contender of own) {
    const { bytes } = contender;
    const used = spread(clock(contender, 0)).median * bytes;
    const roof = spread(roofs.get(contender)!).median;
    console.log(
      `${contender.name}: ${(bytes / 1e6).toFixed(0)} MB of weights a token, ${gigabytes(used)} GB/s, ` +
        `${((100 * used) / roof).toFixed(0)} % of the products' ${gigabytes(roof)} GB/s`,
    );
  }
  console.log('');
}

function show(values: readonly number[]): string[] {
  const { median, least, most } = spread(values);
  return [median.toFixed(0), `${least.toFixed(0)}–${most.toFixed(0)}`];
}

async function storiesVocabulary(): Promise<readonly (Uint8Array | undefined)[]> {
  const tokenizer = await openTokenizer(stories.vocabulary);
  return Array.from({ length: tokenizer.vocabularySize }, (_, id) => {
    const bytes = tokenizer.tokenBytes(id);
    return bytes.length === 0 ? undefined : bytes;
  });
}

/** Some text for every token of a random model: the 256 bytes, as llama.cpp wants "\n", and numbers. */
const numberedTokens = Array.from({ length: 65536 }, (_, id) => {
  if (id === 0) return undefined;
  return id <= 256 ? Uint8Array.of(id - 1) : new TextEncoder().encode(` ${id}`);
});

/** Weights of a released shape, as fast as they are written. */
function inFormat(shape: '0.1b' | '0.4b', format: Format): WeightSource {
  const plain = quickWeights(rwkv7Entries(releasedShapes[shape]!, 'f16'));
  // The entries that the format has, without converting anything.
  return format === 'f16' ? plain : quickWeights(weightsIn(format, plain).tensors);
}

async function ours(
  name: string,
  { source, threads }: { readonly source: WeightSource; readonly threads: number },
): Promise<Measured> {
  const device = await openWasm({ threads });
  const model = await LanguageModel.load(source, { device, slots: 16 });
  await source.close();
  const embedding = source.tensors.get('emb.weight')!;
  const bytes = model.bytes.parameters - device.kernels.memory.byteLength(embedding as TensorSpec);
  const kernel = await openKernel(device, source);
  return {
    name,
    bytes,
    decode: (sequences, tokens) => decodeRate(model, sequences, tokens),
    prompt: () => promptRate(model),
    kernelRoof: kernel,
    async close() {
      await model.dispose();
      await device.dispose();
    },
  };
}

async function decodeRate(model: LanguageModel, count: number, tokens: number): Promise<Rate> {
  const sessions = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const session = model.session();
      await session.feed([1 + i, 2, 3]);
      return session;
    }),
  );
  const rate = await rateOf(count * tokens, () =>
    Promise.all(
      sessions.map((session) =>
        session.generate({ maxTokens: tokens, temperature: 0, stopTokens: [] }).text(),
      ),
    ),
  );
  await Promise.all(sessions.map((session) => session.dispose()));
  return rate;
}

async function promptRate(model: LanguageModel): Promise<Rate> {
  const session = model.session();
  // The last token of a feed waits for what is asked after it; one more makes the steps full.
  const rate = await rateOf(prompt.length, () => session.feed([...prompt, 1]));
  await session.dispose();
  return rate;
}

/** Rows and columns of the matrices that the kernels' roof is measured with, and bytes of all together. */
const roofShape = [4096, 2048] as const;
const roofBytes = 96e6;

/** Bytes a second of one token's products with matrices in the dtype of the model's head, and nothing else. */
async function openKernel(device: Device, source: WeightSource): Promise<() => Promise<number>> {
  const { dtype } = source.tensors.get('head.weight')!;
  const spec = { dtype, shape: roofShape };
  const each = device.kernels.memory.byteLength(spec);
  const names = Array.from({ length: Math.ceil(roofBytes / each) }, (_, i) => `${i}.weight`);
  const program = record('products', (recorder) => {
    const x = recorder.input('x', f32(1, roofShape[1]));
    const activations = isPacked(dtype) ? quantize(x) : x;
    const products = names.map((name) => [
      name,
      linear(activations, recorder.parameter(name, spec)),
    ]);
    return Object.fromEntries(products) as Record<string, Value>;
  });
  const weights = quickWeights(new Map(names.map((name) => [name, spec])));
  const parameters = await loadParameters(device, [program], weights);
  const step = await device.compile(program, { parameters: parameters.tensors });
  const x = Float32Array.from({ length: roofShape[1] }, (_, i) => Math.sin(i));
  return async () => {
    let best = 0;
    for (let run = 0; run < 3; run++) {
      const start = performance.now();
      step.run({ x });
      await step.read(names[0]!);
      best = Math.max(best, (1000 * each * names.length) / (performance.now() - start));
    }
    return best;
  };
}
