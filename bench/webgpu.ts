import { LanguageModel, releasedShapes, rwkv7Entries, weightsIn } from '@rwkv-js/language';
import { DeviceError, type WeightSource } from '@rwkv-js/tensor';
import { openWebGpu, type WebGpuDevice } from '@rwkv-js/webgpu';
import { openWeights, stories } from 'rwkv-js';
import { quickWeights } from './quick-weights.ts';
import { formatTable, spread } from './table.ts';

const rounds = 5;
const decodeTokens = 64;
const promptTokens = 512;

/**
 * Speed of the WebGPU device in Node: writing with 1 and 32 sequences, sampling included, and reading, beside
 * the roof that the same adapter's memory sets, measured in the same run.
 *
 * @param subject a released size and a format, `1.5b q4`; without one the storyteller in f16, q8 and q4
 */
export async function benchWebGpu(subject?: string): Promise<void> {
  const device = await openOrSay();
  if (!device) return;
  const sources = subject ? [await sourceOf(subject)] : await storytellers();
  const roof = await device.roof();
  console.log(`${device.info.description}, Node ${process.version}, ${rounds} rounds`);
  console.log(`copy roof, reads and writes together: ${(roof / 1e9).toFixed(1)} GB/s\n`);
  const rows: string[][] = [];
  for (const source of sources) {
    const model = await LanguageModel.load(source, { device, slots: 32 });
    const embedding = source.tensors.get('emb.weight')!;
    const bytes = model.bytes.parameters - bytesOf(source, 'emb.weight', embedding.shape);
    const measures: readonly (readonly [string, number, () => Promise<unknown>])[] = [
      ['one sequence', decodeTokens, () => write(model, 1)],
      ['32 sequences', 32 * decodeTokens, () => write(model, 32)],
      [`prompt of ${promptTokens}`, promptTokens, () => read(model)],
    ];
    for (const [name, tokens, work] of measures) {
      await work();
      const rates: number[] = [];
      for (let round = 0; round < rounds; round++) {
        const started = performance.now();
        await work();
        rates.push((1000 * tokens) / (performance.now() - started));
      }
      const { median, least, most } = spread(rates);
      rows.push([
        `${source.label}, ${name}`,
        median.toFixed(0),
        `${least.toFixed(0)}–${most.toFixed(0)}`,
        (bytes / 1e6).toFixed(1),
        name === 'one sequence' ? `${((100 * median * bytes) / roof).toFixed(1)} %` : '',
      ]);
    }
    await model.dispose();
    await source.close();
  }
  console.log(formatTable(['model', 'tokens/s', 'least–most', 'MB/step', 'of the roof'], rows));
  await device.dispose();
}

/** The device, or undefined where there is none, which is said. */
async function openOrSay(): Promise<WebGpuDevice | undefined> {
  try {
    return await openWebGpu();
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    console.error(`Nothing is measured: ${error.message} (tools/gpu/README.md)`);
    process.exitCode = 1;
    return undefined;
  }
}

async function storytellers(): Promise<readonly WeightSource[]> {
  return Promise.all(
    (['f16', 'q8', 'q4'] as const).map(async (format) => ({
      ...weightsIn(format, weightsIn('f16', await openWeights(stories.weights))),
      label: `stories, 6.3M, ${format}`,
    })),
  );
}

async function sourceOf(subject: string): Promise<WeightSource> {
  const [size = '', format = 'f16'] = subject.split(' ');
  const shape = releasedShapes[size];
  const formats = ['f16', 'q8', 'q4'] as const;
  const known = formats.find((one) => one === format);
  if (!shape || !known) {
    throw new Error(
      `there is no subject '${subject}'; it is a size (${Object.keys(releasedShapes).join(', ')}) ` +
        `and a format (${formats.join(', ')}), such as '1.5b q4'`,
    );
  }
  const { tensors } = weightsIn(known, quickWeights(rwkv7Entries(shape, 'f16')));
  return { ...quickWeights(tensors), label: `RWKV-7 ${size} ${known}` };
}

/** Bytes of a tensor of which a step reads a row or two. */
function bytesOf(
  source: WeightSource,
  name: string,
  [rows = 0, width = 0]: readonly number[],
): number {
  const { dtype } = source.tensors.get(name)!;
  const each =
    typeof dtype === 'object' ? (dtype.bits + 16 / dtype.block) / 8 : dtype === 'f32' ? 4 : 2;
  return rows * width * each;
}

/** Writes with some sequences side by side, drawn as by default. */
async function write(model: LanguageModel, sequences: number): Promise<void> {
  await Promise.all(
    Array.from({ length: sequences }, async (_, seed) => {
      const session = model.session();
      await session.feed([1, 2, 3]);
      await session.generate({ maxTokens: decodeTokens, seed, stopTokens: [] }).text();
      await session.dispose();
    }),
  );
}

async function read(model: LanguageModel): Promise<void> {
  const session = model.session();
  // The last token of a feed waits for what is asked after it; one more makes the step full.
  await session.feed(Array.from({ length: promptTokens + 1 }, (_, i) => (i * 37) % 2048));
  await session.dispose();
}
