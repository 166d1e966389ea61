import { Command, Option, type CommandUnknownOpts } from '@commander-js/extra-typings';
import {
  ggufWriteTypes,
  openWeights,
  readConfig,
  readStatistics,
  tokenizerFor,
  UsageError,
  weightsIn,
  writeGguf,
  writeWeights,
  type GgufWriteType,
  type OpenedWeights,
  type WeightFormat,
  type WeightSource,
  type WriteOptions,
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
  readonly ggufType?: GgufWriteType | undefined;
  readonly vocab?: string | undefined;
  readonly calibration?: string | undefined;
}

const isGguf = (path: string): boolean => path.toLowerCase().endsWith('.gguf');

/** @throws UsageError for options that do not go together. */
function checkOptions(output: string, options: ConvertOptions): void {
  const { calibration, quantize, dtype, ggufType, vocab } = options;
  if (calibration !== undefined && quantize !== 'q4') {
    throw new UsageError('--calibration was given without --quantize q4, which it is for');
  }
  if (isGguf(output)) {
    if (quantize === undefined && dtype === undefined) return;
    throw new UsageError(
      `${output} is a GGUF file, whose types have other names; give --gguf-type, such as Q8_0 or F16`,
    );
  }
  const given = ggufType === undefined ? vocab && '--vocab' : '--gguf-type';
  if (given)
    throw new UsageError(`${given} is for outputs that end in .gguf, and ${output} does not`);
}

/** The bytes of every token, for a GGUF file. */
async function vocabularyOf(
  source: OpenedWeights,
  { vocab }: ConvertOptions,
  io: Io,
): Promise<(Uint8Array | undefined)[]> {
  const rows = source.tensors.get('emb.weight')?.shape[0] ?? 0;
  const tokenizer = await tokenizerFor(vocab ?? source, rows, { signal: io.signal });
  if (!tokenizer) {
    throw new UsageError(
      `a GGUF file carries the vocabulary of its ${rows} tokens; give it with --vocab, such as ` +
        'rwkv_vocab_v20230424.txt for World models',
    );
  }
  return Array.from({ length: tokenizer.vocabularySize }, (_, id) => {
    const bytes = tokenizer.tokenBytes(id);
    return bytes.length === 0 ? undefined : bytes;
  });
}

/** `rwkv convert`: a model in another format. */
export function convertCommand(io: Io): CommandUnknownOpts {
  return new Command('convert')
    .summary('write a model in another dtype, packed, or as GGUF')
    .description(
      'Writes a model as a safetensors file, its matrices in another dtype or packed in blocks of ' +
        '32: q8 takes 8.5 bits a number and q4 4.5. An output that ends in .gguf is written for ' +
        'llama.cpp (RWKV-6 and 7). One tensor at a time is in memory. The output appears when it ' +
        'is whole; after Ctrl-C the same command goes on where it stopped.',
    )
    .argument(
      '<in>',
      'a .safetensors or .pth file, or the address of one: hf:owner/repo/file, http(s)',
    )
    .argument('<out>', 'the .safetensors or .gguf file to write')
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
    .addOption(
      new Option('--gguf-type <type>', 'what a .gguf file has its matrices in (default: F16)')
        .choices(ggufWriteTypes)
        .conflicts(['quantize', 'dtype']),
    )
    .option('--vocab <file>', "the model's vocabulary, which a .gguf file carries")
    .option('--calibration <file>', 'statistics from rwkv calibrate, for --quantize q4')
    .addHelpText(
      'after',
      examples(
        'rwkv convert rwkv7-g1-0.1b.pth rwkv7-g1-0.1b-q8.safetensors --quantize q8',
        'rwkv convert model.pth model.safetensors --dtype f16',
        'rwkv convert rwkv7-g1-0.1b.pth rwkv7-g1-0.1b.gguf --gguf-type Q8_0 \\',
        '    --vocab rwkv_vocab_v20230424.txt',
      ),
    )
    .action(async (input, output, options: ConvertOptions) => {
      checkOptions(output, options);
      const source = await openWeights(input, { signal: io.signal });
      try {
        // What is no RWKV model would be written as it is, and nobody would be told.
        readConfig(source);
        await refuseSameFile(input, output);
        const origin = await originOf(input, options);
        if (isGguf(output)) {
          const vocabulary = await vocabularyOf(source, options, io);
          const { ggufType: type = 'F16' } = options;
          await writing(origin, io, (how) =>
            writeGguf(output, source, { ...how, type, vocabulary }),
          );
        } else {
          const converted = await convertedWeights(source, options, io);
          await writing(origin, io, (how) => writeWeights(output, converted, how));
        }
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

/** Writes with a bar, and says how to go on when it was stopped. */
async function writing(
  origin: string,
  io: Io,
  write: (how: WriteOptions) => Promise<void>,
): Promise<void> {
  using bar = showProgress(io.stderr, { doing: 'Converting', unit: 'MB', scale: 1e6 });
  try {
    await write({
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
