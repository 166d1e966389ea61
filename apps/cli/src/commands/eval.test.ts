import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  command,
  readTensors,
  smallVocabulary,
  specificationFile,
  temporaryFolder,
} from '../../test/command.ts';

const text = 'Once upon a time, there was a little girl named Lily. She had a red ball.';

test('the score is the sum of the log-softmax of what `rwkv logits` writes', async () => {
  // The device whose numbers do not depend on how many tokens go into a step.
  const device = ['--device', 'cpu'];
  const folder = await temporaryFolder();
  const file = join(folder, 'text.txt');
  await writeFile(file, text);
  const found = JSON.parse((await command(['eval', '--text', file, '--json', ...device])).stdout);

  const ids: number[] = JSON.parse((await command(['tokenize'], { stdin: text })).stdout);
  const out = join(folder, 'logits.safetensors');
  const stdin = JSON.stringify([0, ...ids]);
  expect(
    (await command(['logits', '--tokens', '-', '--out', out, ...device], { stdin })).code,
  ).toBe(0);
  const logits = Array.from((await readTensors(out)).get('logits')!);
  const size = logits.length / (ids.length + 1);
  const nats = ids.reduce((sum, id, at) => {
    const row = logits.slice(at * size, (at + 1) * size);
    const total = row.reduce((exps, logit) => exps + Math.exp(logit), 0);
    return sum + Math.log(total) - row[id]!;
  }, 0);

  expect(found.tokens).toBe(ids.length);
  expect(found.bytes).toBe(text.length);
  expect(found.natsPerToken).toBeCloseTo(nats / ids.length, 5);
  expect(found.natsPerByte).toBeCloseTo(nats / text.length, 5);
  expect(found.natsPerByte).toBeLessThan(1);
});

test('a table says the same to people, and standard error stays empty off a terminal', async () => {
  const args = ['eval', await specificationFile('6'), '--vocab', await smallVocabulary()];
  const { stdout, stderr } = await command([...args, '--text', '-'], { stdin: 'abcdefghijk' });
  expect(stderr).toBe('');
  expect(stdout).toMatch(
    /^nats a token +\d+\.\d{4}\nnats a byte +\d+\.\d{4}\ntokens +11\nbytes +11\n/,
  );
});

test('a text without a byte is no text', async () => {
  const { code, stderr } = await command(['eval', '--text', '-']);
  expect(code).toBe(1);
  expect(stderr).toBe('rwkv: standard input is empty; there is nothing to score\n');
});
