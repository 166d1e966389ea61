import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { command } from '../../test/command.ts';

const everyByte = Uint8Array.from({ length: 512 }, (_, at) => (at * 7) % 256);

test('any bytes become ids and the same bytes again', async () => {
  const encoded = await command(['tokenize'], { stdin: everyByte });
  expect(encoded.code).toBe(0);
  expect(JSON.parse(encoded.stdout).every(Number.isInteger)).toBe(true);
  const decoded = await command(['tokenize', '--decode'], { stdin: encoded.stdout });
  expect([...decoded.bytes]).toEqual([...everyByte]);
});

test('a vocabulary is known by what is in it, and special tokens are text unless asked for', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-js-'));
  try {
    const file = join(folder, 'tokenizer.json');
    const model = {
      type: 'WordLevel',
      vocab: { '<end>': 0, hello: 1, '<unk>': 2 },
      unk_token: '<unk>',
    };
    const added = [{ id: 0, content: '<end>', special: true }];
    const words = { model, added_tokens: added, pre_tokenizer: { type: 'WhitespaceSplit' } };
    await writeFile(file, JSON.stringify(words));
    const stdin = 'hello <end>';
    expect((await command(['tokenize', '--vocab', file], { stdin })).stdout).toBe('[1,2]\n');
    const asked = await command(['tokenize', '--special-tokens', '--vocab', file], { stdin });
    expect(asked.stdout).toBe('[1,0]\n');
    await writeFile(file, JSON.stringify(words).slice(0, -9));
    const { code, stderr } = await command(['tokenize', '--vocab', file], { stdin });
    expect(code).toBe(1);
    expect(stderr).toContain('tokenizer.json, line 1, column');
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('nothing becomes an empty list and nothing again', async () => {
  expect((await command(['tokenize'])).stdout).toBe('[]\n');
  expect((await command(['tokenize', '--decode'], { stdin: '[]\n' })).bytes).toHaveLength(0);
});

test('long input is one list', async () => {
  const { stdout } = await command(['tokenize'], { stdin: '\u0001'.repeat(70_000) });
  expect(JSON.parse(stdout)).toHaveLength(70_000);
});

test.each([
  ['{"a": 1}', 'it is JSON, but no array'],
  ['[1, 2.5]', 'element 1 is 2.5'],
  ['[1, "2"]', 'element 1 is "2"'],
  ['[-1]', 'element 0 is -1'],
  ['[1', 'it is not JSON'],
  ['', 'it is not JSON'],
  ['[99999]', 'found the token id 99999'],
])('%s is no list of ids', async (stdin, says) => {
  const { code, stdout, stderr } = await command(['tokenize', '--decode'], { stdin });
  expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
  expect(stderr).toContain(says);
  expect(stderr).toMatch(/^rwkv: [^\n]+\n$/);
});
