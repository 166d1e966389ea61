import { createServer } from 'node:http';
import { readFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { command, specificationFile, temporaryFolder } from '../../test/command.ts';

const address = 'hf:owner/repo/model.safetensors';
let model: Buffer;
let folder = '';
let requests = 0;

beforeEach(async () => {
  model = await readFile(await specificationFile('7'));
  folder = await temporaryFolder();
  requests = 0;
  const server = createServer((request, response) => {
    requests++;
    if (!request.url?.endsWith('model.safetensors')) return void response.writeHead(404).end();
    response.writeHead(200, { etag: '"1"', 'content-length': model.length }).end(model);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });
  const where = server.address();
  if (where === null || typeof where === 'string') throw new Error('no port');
  vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${where.port}`);
  vi.stubEnv('RWKV_CACHE', folder);
});
afterEach(() => void vi.unstubAllEnvs());

describe('rwkv pull', () => {
  test('fetches a file, and says where it is', async () => {
    const { code, stdout, stderr } = await command(['pull', address]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    expect(stdout).toMatch(
      new RegExp(`^${address}: [\\d.]+ kB .* in ${folder}/.*model.safetensors\n$`),
    );
    const { stdout: json } = await command(['pull', address, '--json']);
    const [found] = JSON.parse(json) as { path: string; sha256: string; address: string }[];
    expect(found).toMatchObject({ address, size: model.length });
    expect(Buffer.compare(await readFile(found!.path), model)).toBe(0);
    expect((await command(['pull', address, '--sha256', found!.sha256])).code).toBe(0);
  });

  test.each([
    [['pull', address, '--sha256', 'abc'], 1, /64 hexadecimal digits/],
    [['pull', address, '--sha256', '0'.repeat(64)], 1, /sha256 of what came is .* should be 0000/],
    [['pull', 'hf:owner/repo/other.pth'], 1, /404 Not Found: there is no such file/],
    [['pull', 'model.pth'], 1, /hf:owner\/repository\/file or an http\(s\) URL was expected/],
    [['pull', 'a', 'b', '--sha256', 'abc'], 2, /several addresses/],
    [['pull'], 2, /missing required argument/],
  ])('refuses %j', async (args, code, message) => {
    const outcome = await command(args);
    expect(outcome.code).toBe(code);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.stderr.trim().split('\n')).toHaveLength(1);
  });

  test('asks no server when the environment says so', async () => {
    vi.stubEnv('HF_HUB_OFFLINE', '1');
    const { code, stderr } = await command(['pull', address]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/is not in the cache .*HF_HUB_OFFLINE/);
    expect(requests).toBe(0);
  });
});

test('a model is run by its address, and fetched once for all commands', async () => {
  const args = ['inspect', address, '--json'];
  const { stdout } = await command(args);
  expect(JSON.parse(stdout)).toMatchObject({ file: address, model: { version: '7' } });
  await command(['pull', address]);
  const before = requests;
  expect((await command(args)).stdout).toBe(stdout);
  expect(requests).toBe(before);
});

describe('rwkv cache', () => {
  test('lists, finds and deletes', async () => {
    expect((await command(['cache', 'ls'])).stdout).toBe(`nothing in ${folder}\n`);
    expect((await command(['cache', 'path'])).stdout).toBe(`${folder}\n`);
    await command(['pull', address]);
    const list = (await command(['cache', 'ls'])).stdout;
    expect(list).toContain(address);
    expect(list).toMatch(/address +size +on the disk\n/);
    const [entry] = JSON.parse((await command(['cache', 'ls', '--json'])).stdout) as [
      { path: string },
    ];
    expect((await command(['cache', 'path', address])).stdout).toBe(`${entry.path}\n`);
    const removed = await command(['cache', 'rm', address]);
    expect(removed).toMatchObject({ code: 0 });
    expect(removed.stdout).toMatch(/^deleted hf:owner\/repo\/model.safetensors: .*kB/);
    expect((await command(['cache', 'ls', '--json'])).stdout).toBe('[]\n');
    await command(['pull', address]);
    expect((await command(['cache', 'rm', '--all'])).stdout).toMatch(/^deleted hf:owner/);
    expect((await command(['cache', 'ls', '--json'])).stdout).toBe('[]\n');
  });

  test.each([
    [['cache', 'rm'], 2, /give the addresses to delete, or --all/],
    [['cache', 'rm', '--all', address], 2, /give the addresses to delete, or --all/],
    [['cache', 'rm', address], 1, /is not in the cache/],
    [['cache', 'path', address], 1, /is not in the cache; rwkv pull fetches it/],
    [['cache', 'rm', 'model.pth'], 1, /URL was expected/],
    [['cache', 'la'], 2, /unknown command 'la'/],
  ])('refuses %j', async (args, code, message) => {
    const outcome = await command(args);
    expect(outcome.code).toBe(code);
    expect(outcome.stderr).toMatch(message);
    expect(outcome.stderr.trim().split('\n')).toHaveLength(1);
  });

  test.each(['ls', 'rm', 'path'])('%s has help with examples', async (name) => {
    const { code, stdout } = await command(['cache', name, '--help']);
    expect(code).toBe(0);
    expect(stdout).toContain(`$ rwkv cache ${name}`);
  });
});
