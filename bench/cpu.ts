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
import { openWasm, openWeights, stories } from 'rwkv-js';
import { readBandwidth } from './memory-roof.ts';
import { quickWeights } from './quick-weights.ts';
import { formatTable, spread } from './table.ts';

const rounds = 5;
const promptTokens = 512;
const decodeTokens = 12;

/** What is measured beside others, in turns: one of ours, or a peer. */
interface Contender {
  readonly name: string;
  /** Greedy writing, the tokens of all sequences together. */
  decode(sequences: number): Promise<Rate>;
  /** Reading. */
  prompt(): Promise<Rate>;
  /** Bytes of weights that a step reads. */
  readonly bytes: number;
  /** Bytes a second of a product alone, in the same dtype with as many threads. */
  kernelRoof(): Promise<number>;
  close(): Promise<void>;
}

/** How fast something went. */
interface Rate {
  /** Tokens a second by the clock. */
  readonly byClock: number;
  /** Tokens a second of processor time, of all threads: what other work on the machine disturbs less. */
  readonly byProcessor: number;
}

async function rateOf(tokens: number, work: () => Promise<unknown>): Promise<Rate> {
  const [start, usage] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(usage);
  return {
    byClock: (1000 * tokens) / (performance.now() - start),
    byProcessor: (1e6 * tokens) / (user + system),
  };
}

const measures = [
  'decode 1',
  'decode 4',
  'decode 16',
  'prompt 512',
  'kernel roof',
  'decode 1 a CPU s',
  'prompt a CPU s',
] as const;

/**
 * Speed of the wasm device: decode of 1, 4 and 16 sequences and a prompt, for the stories model and for the
 * shapes of RWKV-7 0.1B and 0.4B, on one thread and two, beside the memory's roof and the kernels' own.
 *
 *     npm run bench -- cpu ['0.1b q8']
 *
 * @param only a part of the names to keep; models that are left out are not loaded
 */
export async function benchCpu(only: string): Promise<void> {
  const models: Readonly<Record<string, (format: 'f16' | 'q8' | 'q4') => Promise<WeightSource>>> = {
    // It is shipped as q8, and what is packed stays so.
    stories: async (format) => {
      const plain = weightsIn('f16', await openWeights(stories.weights));
      return weightsIn(format, plain);
    },
    '0.1b': async (format) => inFormat('0.1b', format),
    '0.4b': async (format) => inFormat('0.4b', format),
  };
  for (const [model, open] of Object.entries(models)) {
    const contenders: Contender[] = [];
    for (const format of ['f16', 'q8', 'q4'] as const) {
      for (const threads of [1, 2]) {
        const name = `${model} ${format} ${threads} thread${threads > 1 ? 's' : ''}`;
        if (!name.includes(only)) continue;
        contenders.push(await ours(name, await open(format), threads));
      }
    }
    if (contenders.length > 0) await compare(contenders);
  }
}

/** Measures contenders in turns, so that a machine that changes its speed changes it for all. */
async function compare(contenders: readonly Contender[]): Promise<void> {
  const rates = contenders.map(() => measures.map((): number[] => []));
  const memory: number[] = [];
  for (let round = 0; round <= rounds; round++) {
    memory.push(readBandwidth());
    for (const [i, contender] of contenders.entries()) {
      const [one, four, sixteen, prompt] = [
        await contender.decode(1),
        await contender.decode(4),
        await contender.decode(16),
        await contender.prompt(),
      ];
      const roof = await contender.kernelRoof();
      const found = [
        ...[one, four, sixteen, prompt].map(({ byClock }) => byClock),
        roof,
        ...[one, prompt].map(({ byProcessor }) => byProcessor),
      ];
      if (round > 0) found.forEach((rate, which) => rates[i]![which]!.push(rate)); // 0 warms up
    }
  }
  const show = (values: readonly number[]): string[] => {
    const { median, least, most } = spread(values);
    return [median.toFixed(0), `${least.toFixed(0)}–${most.toFixed(0)}`];
  };
  const rows = contenders.map(({ name, bytes }, i) => {
    const [one, four, sixteen, prompt, roof] = rates[i]!;
    const bandwidth = spread(one!).median * bytes;
    const kernel = spread(roof!).median;
    return [
      name,
      ...[one!, four!, sixteen!, prompt!].flatMap(show),
      (bytes / 1e6).toFixed(0),
      (bandwidth / 1e9).toFixed(1),
      (kernel / 1e9).toFixed(1),
      `${((100 * bandwidth) / kernel).toFixed(0)} %`,
      ...rates[i]!.slice(5).map((values) => spread(values).median.toFixed(0)),
    ];
  });
  const { median, least, most } = spread(memory);
  console.log(`wasm device, Node ${process.version}, ${rounds} rounds, tokens a second`);
  console.log(
    `memory read by one thread: ${[median, least, most].map((b) => (b / 1e9).toFixed(1)).join(', ')} GB/s (median, least, most)\n`,
  );
  const heading = ['model', ...measures.slice(0, 4).flatMap((name) => [name, 'spread'])];
  console.log(
    formatTable(
      [...heading, 'MB a token', 'GB/s', 'kernel GB/s', 'of kernel', ...measures.slice(5)],
      rows,
    ) + '\n',
  );
  for (const contender of contenders) await contender.close();
}

/** Weights of a released shape, as fast as they are written. */
function inFormat(shape: '0.1b' | '0.4b', format: 'f16' | 'q8' | 'q4'): WeightSource {
  const plain = quickWeights(rwkv7Entries(releasedShapes[shape]!, 'f16'));
  // The entries that the format has, without converting anything.
  return format === 'f16' ? plain : quickWeights(weightsIn(format, plain).tensors);
}

async function ours(name: string, source: WeightSource, threads: number): Promise<Contender> {
  const device = await openWasm({ threads });
  const model = await LanguageModel.load(source, { device, slots: 16 });
  await source.close();
  const embedding = source.tensors.get('emb.weight')!;
  const bytes = model.bytes.parameters - device.kernels.memory.byteLength(embedding as TensorSpec);
  const kernel = await openKernel(device, source);
  return {
    name,
    bytes,
    decode: (sequences) => decodeRate(model, sequences),
    prompt: () => promptRate(model),
    kernelRoof: kernel,
    async close() {
      await model.dispose();
      await device.dispose();
    },
  };
}

async function decodeRate(model: LanguageModel, count: number): Promise<Rate> {
  const sessions = await Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const session = model.session();
      await session.feed([1 + i, 2, 3]);
      return session;
    }),
  );
  const rate = await rateOf(count * decodeTokens, () =>
    Promise.all(
      sessions.map((session) =>
        session.generate({ maxTokens: decodeTokens, temperature: 0, stopTokens: [] }).text(),
      ),
    ),
  );
  await Promise.all(sessions.map((session) => session.dispose()));
  return rate;
}

async function promptRate(model: LanguageModel): Promise<Rate> {
  const session = model.session();
  // The last token of a feed waits for what is asked after it; one more makes the steps full.
  const prompt = Array.from({ length: promptTokens + 1 }, (_, i) => (i * 37) % 2048);
  const rate = await rateOf(promptTokens, () => session.feed(prompt));
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
