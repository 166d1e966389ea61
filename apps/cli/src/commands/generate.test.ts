import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable, Writable } from 'node:stream';
import { loadModel, openDevice } from 'rwkv-js';
import { describe, expect, test } from 'vitest';
import {
  command,
  smallVocabulary,
  specificationFile,
  temporaryFolder,
} from '../../test/command.ts';
import { run } from '../run.ts';

const few = ['--max-tokens', '12', '--seed', '3'];

describe('with the embedded model', () => {
  test('the prompt and the text go to standard output, one line about them to standard error', async () => {
    const pieces: string[] = [];
    const found = await command(['generate', '--prompt', 'Once upon a time', ...few], {
      written: (piece) => pieces.push(piece),
    });
    expect(found.code).toBe(0);
    expect(pieces[0]).toBe('Once upon a time');
    expect(pieces.length).toBeGreaterThan(4);
    expect(found.stderr).toMatch(
      /^\d+\.\d tokens\/s, 12 tokens, token limit, seed 3, wasm, stories \(RWKV-7, 6\.3M\)\n$/,
    );
    await using device = await openDevice();
    await using model = await loadModel({ device });
    const same = model.generate({ prompt: 'Once upon a time', maxTokens: 12, seed: 3 });
    expect(found.stdout).toBe(`Once upon a time${await same.text()}\n`);
  });

  test('a text begins without a prompt, and --json says it all in one object', async () => {
    const found = await command(['generate', '--json', ...few]);
    expect(found.stderr).toBe('');
    expect(found.stdout.trimEnd()).not.toContain('\n');
    const { text, tokens, tokensPerSecond, ...rest } = JSON.parse(found.stdout);
    expect(rest).toEqual({
      finishReason: 'length',
      seed: 3,
      device: 'wasm',
      model: 'stories (RWKV-7, 6.3M)',
    });
    expect(text).toMatch(/^[A-Z]/);
    expect(tokens).toHaveLength(12);
    expect(tokensPerSecond).toBeGreaterThan(0);
  });

  test('every setting reaches the model under its name', async () => {
    const settings = {
      temperature: 1.5,
      topP: 0.97,
      topK: 60,
      presencePenalty: 1.5,
      frequencyPenalty: 0.7,
      penaltyDecay: 0.5,
      maxTokens: 40,
      seed: 11,
    };
    const flags = Object.entries(settings).flatMap(([name, value]) => {
      const flag = name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
      return [`--${flag}`, `${value}`];
    });
    await using device = await openDevice();
    await using model = await loadModel({ device });
    const expected = model.generate(settings);
    const text = await expected.text();
    const found = JSON.parse((await command(['generate', '--json', ...flags])).stdout);
    expect(found).toMatchObject({ text, tokens: expected.tokens });

    const stop = text.slice(-3);
    const more = ['--stop', '\u2603', '--stop', stop];
    const stopped = JSON.parse((await command(['generate', '--json', ...flags, ...more])).stdout);
    expect(stopped.finishReason).toBe('stop');
    expect(stopped.text).toBe(text.slice(0, text.indexOf(stop)));
  });

  test('a closed standard error takes nothing from a text that was written', async () => {
    const pieces: Buffer[] = [];
    const stdout = new Writable({
      write: (piece: Buffer, _, done) => {
        pieces.push(piece);
        done();
      },
    });
    const stderr = new Writable({ write: (_piece, _, done) => done(new Error('closed')) });
    stderr.on('error', () => {});
    const io = { stdin: Readable.from([]), stdout, stderr, signal: new AbortController().signal };
    expect(await run(['generate', '--prompt', 'Tom', ...few], io)).toBe(0);
    expect(`${Buffer.concat(pieces)}`).toMatch(/^Tom.+\n$/s);
  });

  test('Ctrl-C keeps what was written and ends with the line and code 130', async () => {
    const controller = new AbortController();
    let pieces = 0;
    const found = await command(['generate', '--prompt', 'Tom', '--seed', '1'], {
      signal: controller.signal,
      written: () => {
        if (++pieces === 4) controller.abort();
      },
    });
    expect(found.code).toBe(130);
    expect(found.stdout).toMatch(/^Tom.+\n$/);
    expect(found.stderr).toMatch(/^[^\n]* tokens, interrupted, seed 1, [^\n]*\n$/);
  });
});

describe('with a model file', () => {
  test('a prompt comes from a file or from standard input as well', async () => {
    const args = ['generate', await specificationFile('6'), '--vocab', await smallVocabulary()];
    args.push('--seed', '1', '--max-tokens', '5');
    const file = join(await temporaryFolder(), 'prompt.txt');
    await writeFile(file, 'badge');
    const { stdout } = await command([...args, '--prompt', 'badge']);
    expect(stdout).toMatch(/^badge/);
    expect((await command([...args, '--prompt-file', file])).stdout).toBe(stdout);
    expect((await command([...args, '--prompt-file', '-'], { stdin: 'badge' })).stdout).toBe(
      stdout,
    );
  });

  test('text that has no tokens, no vocabulary and an empty prompt are told in a sentence', async () => {
    const model = await specificationFile('4');
    const bare = await command(['generate', model]);
    expect(bare).toMatchObject({ code: 1, stdout: '' });
    expect(bare.stderr).toMatch(
      /^rwkv: .* no vocabulary for its 12 tokens; give it with --vocab.*\n$/,
    );
    const args = ['generate', model, '--vocab', await smallVocabulary()];
    const foreign = await command([...args, '--prompt', 'xyz']);
    expect(foreign).toMatchObject({ code: 1, stdout: '' });
    expect(foreign.stderr).toMatch(/^rwkv: [^\n]+\n$/);
    const empty = await command([...args, '--prompt-file', '-']);
    expect(empty.code).toBe(1);
    expect(empty.stderr).toBe(
      'rwkv: the prompt of standard input is empty; leave --prompt-file out to begin a text\n',
    );
  });
});
