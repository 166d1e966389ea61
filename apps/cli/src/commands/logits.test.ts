import { readdir, symlink, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  describeShared,
  sharedPath,
  specificationModels,
  specificationPrompt,
} from '@rwkv-js/testing';
import { openWeights } from 'rwkv-js';
import { expect, test } from 'vitest';
import {
  command,
  readTensors,
  smallVocabulary,
  specificationFile,
  temporaryFolder,
} from '../../test/command.ts';

test.each(specificationModels)(
  "the specification's RWKV-$version writes tokens, logits and the state",
  async ({ version, logits }) => {
    const out = join(await temporaryFolder(), 'out.safetensors');
    const args = ['logits', await specificationFile(version), '--tokens', '-', '--out', out];
    const found = await command(args, { stdin: JSON.stringify(specificationPrompt) });
    expect(found).toMatchObject({ code: 0, stdout: '' });
    const tensors = await readTensors(out);
    expect(Array.from(tensors.get('tokens')!)).toEqual(specificationPrompt);
    const last = Array.from(tensors.get('logits')!).slice(-12);
    last.forEach((logit, i) => expect(Math.abs(logit - logits[i]!)).toBeLessThan(1e-5));

    await using file = await asDisposable(out);
    expect(file.tensors.get('logits')).toEqual({ dtype: 'f32', shape: [7, 12] });
    expect(file.tensors.get('state.1.ffn_x')).toEqual({ dtype: 'f32', shape: [16] });
    expect(file.tensors.get(version === '4' ? 'state.0.pp' : 'state.0.wkv')).toEqual({
      dtype: 'f32',
      shape: version === '4' ? [16] : [2, 8, 8],
    });
  },
);

async function asDisposable(path: string) {
  const source = await openWeights(path);
  return { tensors: source.tensors, [Symbol.asyncDispose]: () => source.close() };
}

describeShared('the golden models', () => {
  test.each<[string, string, string[]]>([
    ['v4', 'expected', []],
    ['v6', 'expected', []],
    ['v7', 'expected', []],
    ['v5.0', 'expected.rwkvcpp', ['--norm-epsilon', '1e-5']],
  ])('%s gives the logits and the state of %s', async (name, expectation, options) => {
    const folder = await temporaryFolder();
    const expected = await readTensors(sharedPath(`golden/${name}/${expectation}.safetensors`));
    const ids = join(folder, 'ids.json');
    await writeFile(ids, JSON.stringify(Array.from(expected.get('tokens')!)));
    const out = join(folder, 'out.safetensors');
    const model = sharedPath(`golden/${name}/model.safetensors`);
    const args = ['logits', model, '--tokens', ids, '--out', out, ...options];
    expect((await command(args)).code).toBe(0);
    const found = await readTensors(out);
    for (const [key, want] of expected) {
      if (key === 'greedy') continue;
      const values = Array.from(found.get(key) ?? []);
      expect(values.length, key).toBe(want.length);
      const worst = values.reduce((most, value, i) => {
        const scale = key.startsWith('state.') ? Math.max(1, Math.abs(want[i]!)) : 1;
        return Math.max(most, Math.abs(value - want[i]!) / scale);
      }, 0);
      expect(worst, key).toBeLessThanOrEqual(2e-4);
    }
    expect(found.size).toBe(expected.size - (expected.has('greedy') ? 1 : 0));
  });
});

test('Ctrl-C and mistakes leave no file behind', async () => {
  const folder = await temporaryFolder();
  const out = join(folder, 'out.safetensors');
  const model = await specificationFile('7');
  const logits = (stdin: string, more = {}) =>
    command(['logits', model, '--tokens', '-', '--out', out], { stdin, ...more });

  const controller = new AbortController();
  const stopped = logits(JSON.stringify(Array(20_000).fill(3)), { signal: controller.signal });
  while ((await readdir(folder)).length === 0) await new Promise((later) => setTimeout(later, 5));
  controller.abort();
  expect(await stopped).toMatchObject({ code: 130, stdout: '', stderr: '' });
  expect(await readdir(folder)).toEqual([]);

  const beyond = await logits('[1, 12]');
  expect(beyond.code).toBe(1);
  expect(beyond.stderr).toMatch(/^rwkv: .* element 1 is 12; .* from 0 to 11; .*\n$/);
  expect((await logits('[]')).stderr).toBe('rwkv: standard input holds no tokens; give some\n');
  expect(await readdir(folder)).toEqual([]);
});

test('a folder is no file to write, which is told before anything is computed', async () => {
  const folder = await temporaryFolder();
  const args = ['logits', '/nowhere', '--tokens', '-', '--out', folder];
  const { code, stderr } = await command(args, { stdin: '[1]' });
  expect(code).toBe(1);
  expect(stderr).toBe(`rwkv: --out ${folder} is a folder; give the path of the file to write\n`);
});

test.each<[string, (folder: string) => string, RegExp]>([
  ['an empty path', () => '', /^rwkv: --out is empty; give the path/],
  ['a folder that is not there', (folder) => join(folder, 'no', 'out'), /no does not exist; make/],
  ['a file for a folder', (folder) => join(folder, 'file', 'out'), /file is no folder; make/],
  ['a socket', (folder) => join(folder, 'socket'), /socket is no regular file; give the path/],
  ['a link to nothing', (folder) => join(folder, 'link'), /link is a symbolic link to nothing;/],
])('%s is refused before the model is opened', async (_, out, says) => {
  const folder = await temporaryFolder();
  await writeFile(join(folder, 'file'), '');
  await symlink('nothing', join(folder, 'link'));
  const server = createServer();
  await new Promise<void>((listening) => server.listen(join(folder, 'socket'), listening));
  const args = ['logits', '/nowhere', '--tokens', '-', '--out', out(folder)];
  const { code, stderr } = await command(args, { stdin: '[1]' });
  server.close();
  expect(code).toBe(1);
  expect(stderr).toMatch(says);
  expect(stderr).toMatch(/^rwkv: [^\n]+\n$/);
});

test('logits that are not finite are an error and no file', async () => {
  const model = await specificationFile('7', (tensor) =>
    ['ln_out.bias', 'head.weight'].includes(tensor.name)
      ? { ...tensor, data: new Float32Array(tensor.data.byteLength / 4).fill(3e38) }
      : tensor,
  );
  const folder = await temporaryFolder();
  const args = ['logits', model, '--tokens', '-', '--out', join(folder, 'out')];
  const { code, stderr } = await command(args, { stdin: '[1, 2]' });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^rwkv: computing the logits after token 0: Infinity was found .* weights .* damaged\n$/,
  );
  expect(await readdir(folder)).toEqual([]);

  const scored = ['eval', model, '--vocab', await smallVocabulary(), '--text', '-'];
  const { code: evalCode, stderr: says } = await command(scored, { stdin: 'badge' });
  expect(evalCode).toBe(1);
  expect(says).toMatch(/^rwkv: computing the log-probabilities .* weights .* damaged\n$/);
});
