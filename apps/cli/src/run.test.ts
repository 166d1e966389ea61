import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { command, temporaryFolder } from '../test/command.ts';

const names = ['generate', 'inspect', 'tokenize', 'eval', 'logits', 'pull', 'cache'];

test('the help lists the commands', async () => {
  const { code, stdout, stderr } = await command(['--help']);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const name of names) expect(stdout).toMatch(new RegExp(`^  ${name} `, 'm'));
});

test.each(names)('the help of %s has examples', async (name) => {
  const { code, stdout } = await command([name, '--help']);
  expect(code).toBe(0);
  expect(stdout).toContain(`$ rwkv ${name}`);
});

test.each(['generate', 'eval', 'logits'])('%s takes --device and --norm-epsilon', async (name) => {
  const { stdout } = await command([name, '--help']);
  expect(stdout).toMatch(/--device <name> [^]*default:\s+"wasm"/);
  expect(stdout).toContain('--norm-epsilon <x>');
});

test('--version is that of the package', async () => {
  expect((await command(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\S*\n$/);
});

test('no command at all shows the help, as a mistake', async () => {
  const { code, stdout, stderr } = await command([]);
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toContain('Commands:');
});

describe('a wrong command line is told in one line, with code 2:', () => {
  test.each<[string[], RegExp]>([
    [['generat'], /unknown command 'generat' \(Did you mean generate\?\)/],
    [['generate', '--sed', '1'], /unknown option '--sed' \(Did you mean --seed\?\)/],
    [['generate', '--seed', 'abc'], /--seed .*'abc' .* whole number from 0 to 4294967295/],
    [['generate', '--seed', '1.5'], /--seed .*'1\.5' .* whole number/],
    [['generate', '--seed', ''], /--seed .* whole number/],
    [['generate', '--seed'], /--seed .* argument missing/],
    [['generate', '--max-tokens', '-1'], /--max-tokens .*'-1' .* from 0/],
    [['generate', '--temperature', 'NaN'], /--temperature .*'NaN' .* from 0 to 100/],
    [['generate', '--temperature', '0x1'], /--temperature .*'0x1' .* number/],
    [['generate', '--top-p', '1.1'], /--top-p .*'1\.1' .* from 0 to 1/],
    [['generate', '--top-k', '-3'], /--top-k .*'-3' .* whole number/],
    [['generate', '--presence-penalty', 'much'], /--presence-penalty .*'much' .* number/],
    [['generate', '--frequency-penalty', 'Infinity'], /--frequency-penalty .* number/],
    [['generate', '--penalty-decay', '2'], /--penalty-decay .* from 0 to 1/],
    [['generate', '--norm-epsilon', '0'], /--norm-epsilon .* above 0/],
    [['generate', '--device', 'abacus'], /--device .*'abacus' .* wasm, webgpu, cpu, auto/],
    [['generate', '--prompt', ''], /--prompt .* empty; leave --prompt out/],
    [['generate', '--prompt', 'a\ud800'], /--prompt .* half of a surrogate pair/],
    [['generate', '--stop', ''], /--stop .* empty/],
    [['generate', '--prompt', 'a', '--prompt-file', 'b'], /'--prompt-file <file>' cannot be used/],
    [['generate', 'a', 'b'], /too many arguments/],
    [['eval'], /required option '--text <file>'/],
    [['logits', '--out', 'x'], /required option '--tokens <file>'/],
  ])('%j', async (args, says) => {
    const { code, stdout, stderr } = await command(args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
    expect(stderr).toMatch(says);
    expect(stderr).toMatch(/^rwkv: [^\n]+\n$/);
  });
});

describe('what cannot be read is told in one line, with code 1:', () => {
  test.each<[string, (folder: string) => string[], RegExp]>([
    [
      'no model',
      (folder) => ['generate', join(folder, 'no.pth')],
      /no\.pth: there is no such file/,
    ],
    ['a folder for a model', (folder) => ['inspect', folder], /it is a folder/],
    ['no model at all', (folder) => ['inspect', join(folder, 'text.txt')], /no weight file/],
    ['no vocabulary', (folder) => ['tokenize', '--vocab', join(folder, 'no')], /no such file/],
    ['no such text', (folder) => ['eval', '--text', join(folder, 'no')], /no such file/],
    ['a folder for a text', (folder) => ['eval', '--text', folder], /it is a folder/],
    [
      'text for a vocabulary',
      (folder) => ['generate', '--vocab', join(folder, 'text.txt')],
      /Reading the vocabulary/,
    ],
    [
      'text for tokens',
      (folder) => ['logits', '--tokens', join(folder, 'text.txt'), '--out', join(folder, 'out')],
      /it is not JSON/,
    ],
  ])('%s', async (_, args, says) => {
    const folder = await temporaryFolder();
    await writeFile(join(folder, 'text.txt'), 'This is no model at all, just text.\n'.repeat(9));
    const { code, stdout, stderr } = await command(args(folder));
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' });
    expect(stderr).toMatch(says);
    expect(stderr).toMatch(/^rwkv: [^\n]+\n$/);
  });
});

test('--debug shows where an error arose', async () => {
  const { code, stderr } = await command(['inspect', '/nowhere', '--debug']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^rwkv: .*no such file.*\nUsageError: .*\n +at /);
});

test('an error that nobody foresaw is told to be a bug, with where it arose', async () => {
  const { code, stderr } = await command(['inspect'], {
    written: () => {
      throw new TypeError('unforeseen');
    },
  });
  expect(code).toBe(1);
  expect(stderr).toMatch(
    /^rwkv: this is a bug in rwkv, please report it: TypeError: unforeseen\n +at /,
  );
});
