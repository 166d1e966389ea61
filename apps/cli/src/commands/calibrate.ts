import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import {
  calibrate,
  openDevice,
  openWeights,
  stories,
  tokenizerFor,
  UsageError,
  writeStatistics,
} from 'rwkv-js';
import { formatInteger } from '../format.ts';
import { print, type Io } from '../io.ts';
import { checkVocabulary, readModelFile } from '../model.ts';
import {
  deviceOption,
  examples,
  modelArgument,
  normEpsilonOption,
  vocabularyOption,
} from '../options.ts';
import { showProgress } from '../progress.ts';
import { readWhole } from '../read-file.ts';

/** `rwkv calibrate`: what a model's matrices are multiplied with, for better rounding to 4 bits. */
export function calibrateCommand(io: Io): CommandUnknownOpts {
  return new Command('calibrate')
    .summary('measure activations over a text, for converting to 4 bits')
    .description(
      'Reads a text with a model and writes the mean square of what every matrix is multiplied ' +
        'with. rwkv convert --quantize q4 --calibration weighs its rounding errors by it. Some ' +
        'thousand tokens of the kind that the model is to write are enough.',
    )
    .argument(modelArgument.name, modelArgument.description)
    .requiredOption('--text <file>', 'the text; - is standard input')
    .requiredOption('--out <file>', 'where to write the statistics, a .safetensors file')
    .addOption(vocabularyOption)
    .addOption(deviceOption)
    .addOption(normEpsilonOption)
    .addHelpText(
      'after',
      examples(
        'rwkv calibrate rwkv7-g1-0.1b.pth --vocab rwkv_vocab_v20230424.txt --text book.txt \\',
        '    --out statistics.safetensors',
        'rwkv convert rwkv7-g1-0.1b.pth small.safetensors --quantize q4 \\',
        '    --calibration statistics.safetensors',
      ),
    )
    .action(async (path, { text, out, vocab, device: deviceName, normEpsilon }) => {
      const { bytes, label } = await readWhole(text, io);
      if (bytes.length === 0) throw new UsageError(`${label} is empty; there is nothing to read`);
      const file = await readModelFile(path, io);
      checkVocabulary(file, { vocab, device: deviceName });
      await using device = await openDevice(deviceName, {
        report: (lines) => void io.stderr.write(`${lines}\n`),
      });
      const source = await openWeights(path ?? stories.weights, { signal: io.signal });
      try {
        const vocabulary = vocab ?? (path === undefined ? stories.vocabulary : source);
        const { vocabularySize } = file.config;
        const tokenizer = await tokenizerFor(vocabulary, vocabularySize, { signal: io.signal });
        const tokens = [...tokenizer!.encode(bytes)];
        if (vocabularySize !== 256) tokens.unshift(0);
        using bar = showProgress(io.stderr, { doing: 'Measuring', unit: 'tokens' });
        const statistics = await calibrate(source, tokens, {
          device,
          groupNormEpsilon: normEpsilon,
          signal: io.signal,
          progress: ({ tokens: done, totalTokens }) => bar.update(done, totalTokens),
        });
        await writeStatistics(out, statistics);
        await print(
          io.stdout,
          `${out}: ${formatInteger(statistics.meanSquares.size)} matrices over ` +
            `${formatInteger(statistics.tokens)} tokens\n`,
        );
      } finally {
        await source.close();
      }
    });
}
