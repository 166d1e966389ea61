import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError, type LanguageModel } from 'rwkv-js';
import { checkFinite } from '../check-finite.ts';
import { formatInteger, formatTable } from '../format.ts';
import { inPieces } from '../in-pieces.ts';
import { print, type Io } from '../io.ts';
import { checkVocabulary, openModel, readModelFile } from '../model.ts';
import {
  adapterInitOption,
  adapterOption,
  deviceOption,
  examples,
  jsonOption,
  modelArgument,
  normEpsilonOption,
  vocabularyOption,
} from '../options.ts';
import { showProgress } from '../progress.ts';
import { readWhole } from '../read-file.ts';

/** `rwkv eval`: how well a model predicts a text. */
export function evalCommand(io: Io): CommandUnknownOpts {
  return new Command('eval')
    .summary('score how well a model predicts a text')
    .description(
      'Scores how well a model predicts a text: the mean of -ln p over its tokens and over its ' +
        'bytes, in nats; less is better. Token 0, which begins a text, is read first; then every ' +
        'token is scored, all of the file as one text.',
    )
    .argument(modelArgument.name, modelArgument.description)
    .requiredOption('--text <file>', 'the text; - is standard input')
    .addOption(vocabularyOption)
    .addOption(deviceOption)
    .addOption(normEpsilonOption)
    .addOption(adapterOption)
    .addOption(adapterInitOption)
    .addOption(jsonOption)
    .addHelpText(
      'after',
      examples(
        'rwkv eval --text story.txt',
        'rwkv eval rwkv7-g1-0.1b.pth --vocab rwkv_vocab_v20230424.txt --text book.txt --json',
      ),
    )
    .action(async (path, options) => {
      const { bytes, label } = await readWhole(options.text, io);
      if (bytes.length === 0) throw new UsageError(`${label} is empty; there is nothing to score`);
      const file = await readModelFile(path, io);
      checkVocabulary(file, options);
      await using open = await openModel(file, options, io);
      const { model, device } = open;
      const tokens = [...model.tokenizer!.encode(bytes)];
      const begun = performance.now();
      const nats = await score(model, tokens, io);
      const seconds = (performance.now() - begun) / 1000;
      const natsPerToken = nats / tokens.length;
      const natsPerByte = nats / bytes.length;
      const counts = { tokens: tokens.length, bytes: bytes.length, seconds };
      const where = { device: device.info.name, model: file.name };
      const report = { natsPerToken, natsPerByte, ...counts, ...where };
      await print(
        io.stdout,
        options.json
          ? `${JSON.stringify(report)}\n`
          : formatTable([
              ['nats a token', natsPerToken.toFixed(4)],
              ['nats a byte', natsPerByte.toFixed(4)],
              ['tokens', formatInteger(tokens.length)],
              ['bytes', formatInteger(bytes.length)],
              ['seconds', seconds.toFixed(1)],
              ['device', where.device],
              ['model', where.model],
            ]),
      );
    });
}

/** What all tokens cost together, in nats, as the continuation of token 0. */
async function score(model: LanguageModel, tokens: readonly number[], io: Io): Promise<number> {
  using bar = showProgress(io.stderr, { doing: 'Scoring', unit: 'tokens' });
  await using session = model.session();
  await session.feed([0]);
  let nats = 0;
  await inPieces(tokens, io.signal, async (piece, end) => {
    const logProbabilities = await session.score(piece, { signal: io.signal });
    checkFinite(logProbabilities, `the log-probabilities of the tokens before place ${end}`);
    for (const logProbability of logProbabilities) nats -= logProbability;
    bar.update(end, tokens.length);
  });
  return nats;
}
