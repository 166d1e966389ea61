import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeShared, sharedPath } from '@rwkv-js/testing';
import { encodeSafetensors } from 'rwkv-js';
import { describe, expect, test } from 'vitest';
import { command, readTensors, specificationFile, temporaryFolder } from '../test/command.ts';

const seconds = 60_000;

/** A file with one tensor of these sizes, filled with 0.25. */
async function adapterFile(tensors: Readonly<Record<string, readonly number[]>>): Promise<string> {
  const path = join(await temporaryFolder(), 'adapter.safetensors');
  const filled = Object.entries(tensors).map(([name, shape]) => ({
    name,
    dtype: 'f32' as const,
    shape,
    data: new Float32Array(shape.reduce((a, b) => a * b)).fill(0.25),
  }));
  await writeFile(path, encodeSafetensors(filled));
  return path;
}

const lora = {
  'blocks.0.att.key.lora_A': [2, 16],
  'blocks.0.att.key.lora_B': [16, 2],
} as const;

/** Logits after a few tokens, or what the command said instead. */
async function logits(model: string, options: readonly string[]) {
  const out = join(await temporaryFolder(), 'out.safetensors');
  const args = ['logits', model, '--tokens', '-', '--out', out, ...options];
  const { code, stderr } = await command(args, { stdin: '[1, 2, 3]' });
  return { code, stderr, logits: code === 0 ? (await readTensors(out)).get('logits') : undefined };
}

describe('--adapter', () => {
  test('changes the model by as much as alpha says', async () => {
    const model = await specificationFile('7');
    const file = await adapterFile(lora);
    const plain = await logits(model, []);
    const once = await logits(model, ['--adapter', `${file}:2`]);
    const twice = await logits(model, ['--adapter', `${file}:1`, '--adapter', `${file}:1`]);
    expect([plain.code, once.code, twice.code]).toEqual([0, 0, 0]);
    expect(once.logits).not.toEqual(plain.logits);
    Array.from(once.logits!).forEach((logit, i) => expect(logit).toBeCloseTo(twice.logits![i]!, 4));
  });

  test('takes what needs no alpha by its file alone, with colons in its name', async () => {
    const model = await specificationFile('7');
    const folder = await temporaryFolder();
    const file = join(folder, 'of:2024:', 'x');
    const plain = await logits(model, []);
    const state = await adapterFile({
      'blocks.0.att.time_state': [2, 8, 8],
      'blocks.1.att.time_state': [2, 8, 8],
    });
    const tuned = await logits(model, ['--adapter', state]);
    expect(tuned.code).toBe(0);
    expect(tuned.logits).not.toEqual(plain.logits);
    expect((await logits(model, ['--adapter', file])).stderr).toContain(file);
  });

  test.each(['generate', 'eval', 'logits'])('is an option of %s', async (name) => {
    const { stdout } = await command([name, '--help']);
    expect(stdout).toContain('--adapter <file[:alpha]>');
    expect(stdout).toContain('--adapter-init <file>');
  });

  test.each([
    ['', 'It names no file'],
    [':8', 'It names no file'],
    ['lora.pth:0', 'Its alpha is 0; give a number above 0'],
    ['lora.pth:-2', 'Its alpha is -2'],
  ])("refuses '%s'", async (argument, says) => {
    const { code, stderr } = await command(['generate', '--adapter', argument]);
    expect(code).toBe(2);
    expect(stderr).toContain(says);
  });

  test.each([
    ['a LoRA without alpha', lora, '', /does not hold the alpha/],
    ['alpha for nothing', { 'blocks.0.att.key.disha': [2, 16] }, ':8', /has no LoRA factors/],
    ['another model’s block', { 'blocks.7.att.key.disha': [2, 16] }, '', /another model/],
    ['another model’s size', { 'blocks.0.att.key.disha': [2, 24] }, '', /other sizes/],
    ['a tuned state of one layer', { 'blocks.0.att.time_state': [2, 8, 8] }, '', /each has one/],
  ])('refuses %s in one line', async (_, tensors, alpha, says) => {
    const model = await specificationFile('7');
    const file = await adapterFile(tensors as Readonly<Record<string, readonly number[]>>);
    const { code, stderr } = await logits(model, ['--adapter', file + alpha]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^rwkv: [^\n]+\n$/);
    expect(stderr).toMatch(says);
  });

  test('refuses a start file with no adapter or with several', async () => {
    const model = await specificationFile('7');
    const none = await logits(model, ['--adapter-init', 'init.pth']);
    const two = ['--adapter', 'a', '--adapter', 'b', '--adapter-init', 'init.pth'];
    expect(none.stderr).toContain('with 0 --adapter options');
    expect((await logits(model, two)).stderr).toContain('with 2 --adapter options');
  });
});

describeShared('the golden adapters on the command line', () => {
  test.each([
    ['lora-v7', ['--adapter', `${sharedPath('golden/adapters/lora-v7/lora.pth')}:8`]],
    [
      'pissa-v7',
      [
        '--adapter',
        sharedPath('golden/adapters/pissa-v7/pissa.pth'),
        '--adapter-init',
        sharedPath('golden/adapters/pissa-v7/init_lora.pth'),
      ],
    ],
  ])(
    '%s gives its logits',
    async (name, options) => {
      const folder = await temporaryFolder();
      const expected = await readTensors(
        sharedPath(`golden/adapters/${name}/expected.safetensors`),
      );
      const ids = join(folder, 'ids.json');
      await writeFile(ids, JSON.stringify(Array.from(expected.get('tokens')!)));
      const out = join(folder, 'out.safetensors');
      const model = sharedPath('golden/v7/model.safetensors');
      const args = ['logits', model, '--tokens', ids, '--out', out, ...options];
      expect((await command(args)).code).toBe(0);
      const want = expected.get('logits')!;
      const found = (await readTensors(out)).get('logits')!;
      expect(found.length).toBe(want.length);
      Array.from(found).forEach((x, i) => expect(Math.abs(x - want[i]!)).toBeLessThan(2e-4));
    },
    seconds,
  );
});
