import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { lstat, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { UsageError, writeSafetensors, type ModelConfig } from 'rwkv-js';
import { checkFinite } from '../check-finite.ts';
import { inPieces } from '../in-pieces.ts';
import { print, type Io } from '../io.ts';
import { openModel, readModelFile } from '../model.ts';
import {
  adapterInitOption,
  adapterOption,
  deviceOption,
  examples,
  modelArgument,
  normEpsilonOption,
} from '../options.ts';
import { showProgress } from '../progress.ts';
import { readWhole } from '../read-file.ts';
import { checkTokens, parseTokens } from '../token-list.ts';

/** `rwkv logits`: what a model computes for given tokens, to hold against another engine. */
export function logitsCommand(io: Io): CommandUnknownOpts {
  return new Command('logits')
    .summary('write the logits and the state after given tokens to a file')
    .description(
      'Writes what a model computes for given tokens to a safetensors file, to hold it against ' +
        'another engine: tokens i32 [T], logits f32 [T, vocabulary] after each token, and the state ' +
        'after the last one, f32: state.{layer}.att_x and .ffn_x [width], .wkv [heads, size, size], ' +
        'or for RWKV-4 .aa, .bb and .pp [width]. Reads the tokens as they are: no token 0 is put ' +
        'before them. The file appears when it is whole; an interrupted run leaves nothing, except that ' +
        'one that is killed can leave OUT.….partial beside it.',
    )
    .argument(modelArgument.name, modelArgument.description)
    .requiredOption('--tokens <file>', 'a JSON array of token ids; - is standard input')
    .requiredOption('--out <file>', 'the safetensors file to write')
    .addOption(deviceOption)
    .addOption(normEpsilonOption)
    .addOption(adapterOption)
    .addOption(adapterInitOption)
    .addHelpText(
      'after',
      examples(
        "printf 'Once upon a time' | rwkv tokenize | rwkv logits --tokens - --out out.safetensors",
        'rwkv logits rwkv7-g1-0.1b.pth --tokens ids.json --out out.safetensors',
      ),
    )
    .action(async (path, options) => {
      const input = await readWhole(options.tokens, io);
      const tokens = parseTokens(input);
      if (tokens.length === 0) throw new UsageError(`${input.label} holds no tokens; give some`);
      await checkTarget(options.out);
      const file = await readModelFile(path, io);
      checkTokens(tokens, file.config.vocabularySize, input.label);
      await using open = await openModel(file, options, io);
      const { model, device } = open;
      const begun = performance.now();

      await using session = model.session();
      const { vocabularySize } = file.config;
      const first = (await session.save()).tensors;
      const states = Array.from(first, ([name, { length }]) => ({
        name,
        dtype: 'f32' as const,
        shape: stateShape(name, length, file.config),
      }));
      await using writer = await writeSafetensors(
        options.out,
        [
          { name: 'tokens', dtype: 'i32', shape: [tokens.length] },
          { name: 'logits', dtype: 'f32', shape: [tokens.length, vocabularySize] },
          ...states,
        ],
        { signal: io.signal },
      );
      await writer.write('tokens', Int32Array.from(tokens));
      using bar = showProgress(io.stderr, { doing: 'Computing', unit: 'tokens' });
      await inPieces(tokens, io.signal, async (piece, end) => {
        const rows: Float32Array[] = [];
        const take = (logits: Float32Array): number => rows.push(logits);
        await session.feedWithLogits(piece, take, { signal: io.signal });
        for (const [at, row] of rows.entries()) {
          checkFinite(row, `the logits after token ${end - rows.length + at}`);
          await writer.write('logits', row);
        }
        bar.update(end, tokens.length);
      });
      for (const [name, data] of (await session.save()).tensors) await writer.write(name, data);
      await writer.close();

      const seconds = ((performance.now() - begun) / 1000).toFixed(1);
      const counts = `${tokens.length} tokens, ${vocabularySize} logits each`;
      const about = `${counts}, ${seconds} s, ${device.info.name}, ${file.name}`;
      await print(io.stderr, `wrote ${options.out}: ${about}\n`);
    });
}

function stateShape(name: string, length: number, { heads, headSize }: ModelConfig): number[] {
  return name.endsWith('.wkv') ? [heads, headSize, headSize] : [length];
}

/** The file is put in its place at the end; that it cannot be should be said before hours of work. */
async function checkTarget(path: string): Promise<void> {
  if (path === '') throw new UsageError('--out is empty; give the path of the file to write');
  const target = await stat(path).catch(() => undefined);
  if (target?.isFile()) return;
  if (target) {
    const what = target.isDirectory() ? 'a folder' : 'no regular file';
    throw new UsageError(`--out ${path} is ${what}; give the path of the file to write`);
  }
  if (await lstat(path).catch(() => undefined)) {
    throw new UsageError(
      `--out ${path} is a symbolic link to nothing; remove it or give another path`,
    );
  }
  const folder = dirname(path);
  const parent = await stat(folder).catch(() => undefined);
  if (parent?.isDirectory()) return;
  const problem = parent ? 'is no folder' : 'does not exist';
  throw new UsageError(`--out ${path}: the folder ${folder} ${problem}; make it first`);
}
