import { Command, Option, type CommandUnknownOpts } from '@commander-js/extra-typings';
import {
  openWeights,
  readConfig,
  readStatistics,
  UsageError,
  weightsIn,
  writeWeights,
  type WeightFormat,
  type WeightSource,
} from 'rwkv-js';
import { stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { formatBytes } from '../format.ts';
import { print, type Io } from '../io.ts';
import { examples } from '../options.ts';
import { showProgress } from '../progress.ts';

interface ConvertOptions {
  readonly quantize?: 'q8' | 'q4' | undefined;
  readonly dtype?: 'f32' | 'f16' | 'bf16' | undefined;
  readonly calibration?: string | undefined;
}

/** `rwkv convert`: a model in another format. */
export function convertCommand(io: Io): CommandUnknownOpts {
  return new Command('convert')
    .summary('write a model as safetensors, in another dtype or packed')
    .description(
      'Writes a model as a safetensors file, its matrices in another dtype or packed in blocks of ' +
        '32: q8 takes 8.5 bits a number and q4 4.5. One tensor at a time is in memory. The output ' +
        'appears when it is whole; after Ctrl-C the same command goes on where it stopped.',
    )
    .argument(
      '<in>',
      'a .safetensors or .pth file, or the address of one: hf:owner/repo/file, http(s)',
    )
    .argument('<out>', 'the .safetensors file to write')
    .addOption(
      new Option('--quantize <format>', 'pack the matrices')
        .choices(['q8', 'q4'] as const)
        .conflicts('dtype'),
    )
    .addOption(
      new Option('--dtype <dtype>', 'write the matrices in this dtype').choices([
        'f32',
        'f16',
        'bf16',
      ] as const),
    )
    .option('--calibration <file>', 'statistics from rwkv calibrate, for --quantize q4')
    .addHelpText(
      'after',
      examples(
        'rwkv convert rwkv7-g1-0.1b.pth rwkv7-g1-0.1b-q8.safetensors --quantize q8',
        'rwkv convert model.pth model.safetensors --dtype f16',
      ),
    )
    .action(async (input, output, options: ConvertOptions) => {
      if (options.calibration !== undefined && options.quantize !== 'q4') {
        throw new UsageError('--calibration was given without --quantize q4, which it is for');
      }
      const source = await openWeights(input, { signal: io.signal });
      try {
        // What is no RWKV model would be written as it is, and nobody would be told.
        readConfig(source);
        const converted = await convertedWeights(source, options, io);
        await refuseSameFile(input, output);
        await write(converted, output, await originOf(input, options), io);
      } finally {
        await source.close();
      }
      const { size } = await stat(output);
      await print(io.stdout, `${output}: ${formatBytes(size)}\n`);
    });
}

async function convertedWeights(
  source: WeightSource,
  { quantize, dtype, calibration }: ConvertOptions,
  io: Io,
): Promise<WeightSource> {
  const format: WeightFormat | undefined = quantize ?? dtype;
  if (format === undefined) return source;
  if (calibration === undefined) return weightsIn(format, source);
  const statistics = await readStatistics(calibration, { signal: io.signal });
  return weightsIn(format, source, { statistics });
}

async function write(source: WeightSource, output: string, origin: string, io: Io): Promise<void> {
  using bar = showProgress(io.stderr, { doing: 'Converting', unit: 'MB', scale: 1e6 });
  try {
    await writeWeights(output, source, {
      origin,
      signal: io.signal,
      progress: ({ writtenBytes, totalBytes }) => bar.update(writtenBytes, totalBytes),
    });
  } catch (error) {
    if (io.signal.aborted) {
      io.stderr.write('rwkv: converting was stopped; the same command goes on from there\n');
    }
    throw error;
  }
}

/** Writing onto the input would take away what is being read. */
async function refuseSameFile(input: string, output: string): Promise<void> {
  const [from, to] = await Promise.all([input, output].map((path) => stat(path).catch(() => null)));
  if (from && to && from.dev === to.dev && from.ino === to.ino) {
    throw new UsageError(`${output} is the input itself; give another file to write`);
  }
}

/** What the output is made from, so that an interrupted run is gone on with only where nothing changed. */
async function originOf(input: string, options: ConvertOptions): Promise<string> {
  const files = [input, ...(options.calibration === undefined ? [] : [options.calibration])];
  const made = await Promise.all(
    files.map(async (path) => {
      const found = await stat(path).catch(() => null);
      return found ? [resolve(path), found.size, found.mtimeMs] : [path];
    }),
  );
  return JSON.stringify([made, options]);
}
