import { randomWeights } from '@rwkv-js/testing';
import { encodeSafetensors, openWeights, rwkv7Entries } from 'rwkv-js';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { command, temporaryFolder } from '../../test/command.ts';

const sizes = {
  layers: 2,
  width: 64,
  feedForwardWidth: 128,
  headSize: 32,
  vocabularySize: 256,
  ranks: { w: 32, a: 32, v: 32, g: 32 },
};

/** A model that reads bytes, in a folder of its own. */
async function modelFile(): Promise<{ folder: string; model: string }> {
  const folder = await temporaryFolder();
  const source = randomWeights(rwkv7Entries(sizes, 'f16'));
  const tensors = await Promise.all(
    Array.from(source.tensors, async ([name, entry]) => {
      return { name, ...entry, data: await source.read(name) };
    }),
  );
  const model = join(folder, 'model.safetensors');
  await writeFile(model, encodeSafetensors(tensors));
  return { folder, model };
}

async function dtypeOf(path: string, name: string): Promise<unknown> {
  const source = await openWeights(path);
  await source.close();
  const dtype = source.tensors.get(name)!.dtype;
  return typeof dtype === 'string' ? dtype : dtype.name;
}

test.each([
  [['--quantize', 'q8'], 'q8', 'q8'],
  [['--quantize', 'q4'], 'q4', 'q8'],
  [['--dtype', 'bf16'], 'bf16', 'bf16'],
  [[], 'f16', 'f16'],
])('rwkv convert with %j writes a model that runs', async (options, head, embedding) => {
  const { folder, model } = await modelFile();
  const out = join(folder, 'out.safetensors');
  const converted = await command(['convert', model, out, ...options]);
  expect(converted).toMatchObject({ code: 0, stderr: '' });
  expect(converted.stdout).toMatch(/out\.safetensors: .* bytes\)\n$/);
  expect(await dtypeOf(out, 'head.weight')).toBe(head);
  expect(await dtypeOf(out, 'emb.weight')).toBe(embedding);
  const written = await command(['generate', out, '--prompt', 'ab', '--max-tokens', '3']);
  expect(written.code).toBe(0);
});

test('statistics of rwkv calibrate are for rwkv convert --quantize q4', async () => {
  const { folder, model } = await modelFile();
  const [statistics, plain, weighed] = ['s', 'plain', 'weighed'].map((name) =>
    join(folder, `${name}.safetensors`),
  ) as [string, string, string];
  const text = 'A text of some length, again and again. '.repeat(4);
  const args = ['calibrate', model, '--text', '-', '--out', statistics];
  const measured = await command(args, { stdin: text });
  expect(measured).toMatchObject({ code: 0, stderr: '' });
  expect(measured.stdout).toContain('13 matrices over 128 tokens');
  const quantize = ['--quantize', 'q4'];
  await command(['convert', model, plain, ...quantize]);
  await command(['convert', model, weighed, ...quantize, '--calibration', statistics]);
  expect(await readFile(weighed)).not.toEqual(await readFile(plain));
  expect((await readFile(weighed)).length).toBe((await readFile(plain)).length);

  const wrong = await command(['convert', model, plain, ...quantize, '--calibration', model]);
  expect(wrong.stderr).toContain('it holds no activation statistics');
  const short = await command(['calibrate', model, '--text', '-', '--out', statistics], {
    stdin: 'short',
  });
  expect(short.stderr).toContain('the text has 5 tokens');
});

test('a stopped conversion says how to go on, and the same command does', async () => {
  const { folder, model } = await modelFile();
  const out = join(folder, 'out.safetensors');
  const args = ['convert', model, out, '--quantize', 'q8'];
  const stopped = await command(args, { signal: AbortSignal.timeout(0) });
  expect(stopped.code).toBe(130);
  const whole = await command(args);
  expect(whole.code).toBe(0);
  expect((await readdir(folder)).toSorted()).toEqual(['model.safetensors', 'out.safetensors']);
});

test.each([
  [['--calibration', 'x'], '--calibration was given without --quantize q4'],
  [['--quantize', 'q8', '--dtype', 'f16'], "cannot be used with option '--dtype"],
  [['--quantize', 'q2'], 'Allowed choices are q8, q4'],
])('%j is refused', async (options, message) => {
  const { folder, model } = await modelFile();
  const found = await command(['convert', model, join(folder, 'out.safetensors'), ...options]);
  expect(found.code).not.toBe(0);
  expect(found.stderr).toContain(message);
  expect(await readdir(folder)).toEqual(['model.safetensors']);
});

test('the input itself is no output, and what is no model is not written', async () => {
  const { folder, model } = await modelFile();
  const before = await readFile(model);
  const onto = await command(['convert', model, join(folder, '.', 'model.safetensors')]);
  expect(onto.stderr).toContain('is the input itself');
  expect(await readFile(model)).toEqual(before);
  const other = join(folder, 'other.safetensors');
  await writeFile(
    other,
    encodeSafetensors([{ name: 'x', dtype: 'f32', shape: [1], data: Float32Array.of(1) }]),
  );
  const found = await command(['convert', other, join(folder, 'out.safetensors')]);
  expect(found.code).toBe(1);
  expect(await readdir(folder)).toEqual(['model.safetensors', 'other.safetensors']);
});
