import { Command, Option, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { UsageError } from 'rwkv-js';
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
  number,
  someText,
  vocabularyOption,
  wholeNumber,
} from '../options.ts';
import { readWhole } from '../read-file.ts';

/** `rwkv generate`: text to standard output as it comes, then one line about it to standard error. */
export function generateCommand(io: Io): CommandUnknownOpts {
  return new Command('generate')
    .summary('write on from a prompt, or begin a text')
    .description(
      'Writes on from a prompt; without one, begins a text. The prompt and the text go to standard ' +
        'output as they come, and one line about speed, device and model to standard error. ' +
        'Ctrl-C stops.',
    )
    .argument(modelArgument.name, modelArgument.description)
    .addOption(
      new Option('--prompt <text>', 'what to write on from').argParser(
        someText('leave --prompt out to begin a text'),
      ),
    )
    .addOption(
      new Option('--prompt-file <file>', 'the same from a file; - is standard input').conflicts(
        'prompt',
      ),
    )
    .option('--max-tokens <n>', 'most tokens to write', wholeNumber(0, 2 ** 31), 1024)
    .option(
      '--seed <n>',
      'decides every draw: the same seed and settings give the same text (default: random)',
      wholeNumber(0, 2 ** 32 - 1),
    )
    .option(
      '--temperature <x>',
      'below 1 favours likely tokens, above 1 unlikely ones, 0 always takes the likeliest ' +
        '(default: 1; embedded model: 0.6)',
      number(0, 100),
    )
    .option(
      '--top-p <x>',
      'choose among the likeliest tokens that have this share of the probability ' +
        '(default: 0.85; embedded model: 0.9)',
      number(0, 1),
    )
    .option(
      '--top-k <n>',
      'choose among so many of the likeliest tokens; 0 is any number (default: 0)',
      wholeNumber(0, 2 ** 24),
    )
    .option(
      '--presence-penalty <x>',
      'taken from the logit of every token that was written (default: 0.2; embedded model: 0)',
      number(-100, 100),
    )
    .option(
      '--frequency-penalty <x>',
      'taken for each time that a token was written (default: 0.2; embedded model: 0)',
      number(-100, 100),
    )
    .option(
      '--penalty-decay <x>',
      'what those times are multiplied by with every token (default: 0.996)',
      number(0, 1),
    )
    .addOption(
      new Option(
        '--stop <text>',
        'ends the text where this would begin; may be repeated',
      ).argParser((text, before: readonly string[] | undefined) => [
        ...(before ?? []),
        someText('give the text to stop at')(text),
      ]),
    )
    .addOption(vocabularyOption)
    .addOption(deviceOption)
    .addOption(normEpsilonOption)
    .addOption(adapterOption)
    .addOption(adapterInitOption)
    .addOption(jsonOption)
    .addHelpText(
      'after',
      examples(
        'rwkv generate',
        "rwkv generate --prompt 'Tom and his dog' --seed 10",
        'rwkv generate rwkv7-g1-0.1b.pth --vocab rwkv_vocab_v20230424.txt \\',
        "      --prompt 'The Eiffel tower is in the city of' --max-tokens 50 --stop '.'",
        'rwkv generate --prompt-file beginning.txt --json > story.json',
        'rwkv generate model.pth --vocab vocab.txt --adapter lora.pth:32',
      ),
    )
    .action(async (path, options) => {
      const { prompt: promptText, promptFile, json, ...settings } = options;
      const prompt = await readPrompt({ promptText, promptFile }, io);
      const file = await readModelFile(path, io);
      checkVocabulary(file, options);
      await using open = await openModel(file, options, io);
      const { model, device } = open;
      const session = model.session();
      const generation = session.generate({ ...settings, signal: io.signal });
      const promptTokens = prompt ? model.tokenizer!.encode(prompt) : [];

      const echo = json ? undefined : new Echo(io);
      let text = '';
      let seconds = 0;
      try {
        await echo?.write(prompt ?? '');
        await inPieces([0, ...promptTokens], io.signal, (piece) =>
          session.feed(piece, { signal: io.signal }),
        );
        let since = performance.now();
        const writing = (): number => (performance.now() - since) / 1000;
        for await (const piece of generation) {
          seconds += writing();
          text += piece;
          await echo?.write(piece);
          since = performance.now();
        }
        seconds += writing();
      } catch (error) {
        if (!io.signal.aborted) throw error;
      } finally {
        await echo?.end();
      }

      const { tokens, seed } = generation;
      const finishReason = generation.finishReason ?? 'interrupted';
      const tokensPerSecond = seconds > 0 ? tokens.length / seconds : 0;
      const about = { seed, tokensPerSecond, device: device.info.name, model: file.name };
      if (json) {
        await print(io.stdout, `${JSON.stringify({ text, tokens, finishReason, ...about })}\n`);
      } else {
        const rate = `${tokensPerSecond.toFixed(1)} tokens/s`;
        const count = tokens.length === 1 ? '1 token' : `${tokens.length} tokens`;
        const parts = [rate, count, reasons[finishReason], `seed ${seed}`, about.device, file.name];
        // The text is out: where nobody can read about it, it was written all the same.
        await print(io.stderr, `${parts.join(', ')}\n`).catch(() => {});
      }
      io.signal.throwIfAborted();
    });
}

const reasons = {
  stop: 'stop text',
  end: 'end of text',
  length: 'token limit',
  interrupted: 'interrupted',
} as const;

async function readPrompt(
  from: { promptText?: string | undefined; promptFile?: string | undefined },
  io: Io,
): Promise<Uint8Array | undefined> {
  if (from.promptText !== undefined) return new TextEncoder().encode(from.promptText);
  if (from.promptFile === undefined) return undefined;
  const { bytes, label } = await readWhole(from.promptFile, io);
  if (bytes.length > 0) return bytes;
  throw new UsageError(`the prompt of ${label} is empty; leave --prompt-file out to begin a text`);
}

/** Text as it goes to standard output; what follows it on a terminal must begin a line. */
class Echo {
  readonly #io: Io;
  #endsLine = true;

  constructor(io: Io) {
    this.#io = io;
  }

  async write(text: string | Uint8Array): Promise<void> {
    if (text.length === 0) return;
    const last = text.at(-1);
    this.#endsLine = last === '\n' || last === 10;
    await print(this.#io.stdout, text);
  }

  async end(): Promise<void> {
    if (!this.#endsLine) await this.write('\n');
  }
}
