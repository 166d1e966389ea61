import { UsageError } from '@rwkv-js/tensor';
import { execFileSync } from 'node:child_process';
import { lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fileSink } from './file-sink.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-sink-'));
});
afterEach(() => rm(folder, { recursive: true }));

async function writeText(path: string, text: string): Promise<void> {
  const sink = await fileSink(path);
  await sink.write(0, new TextEncoder().encode(text));
  await sink.close();
}

async function refusal(path: string): Promise<string> {
  const error: unknown = await fileSink(path).catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(UsageError);
  return (error as UsageError).message;
}

test('a file that was there is replaced', async () => {
  const path = join(folder, 'file');
  await writeFile(path, 'longer than what comes');
  await writeText(path, 'new');
  expect(await readFile(path, 'utf8')).toBe('new');
  expect(await readdir(folder)).toEqual(['file']);
});

test.skipIf(process.platform === 'win32')(
  'a symbolic link stays one, and the file that it leads to is replaced where it lies',
  async () => {
    await mkdir(join(folder, 'elsewhere'));
    const real = join(folder, 'elsewhere', 'file');
    await writeFile(real, 'old');
    const link = join(folder, 'link');
    await symlink(join('elsewhere', 'file'), link);
    const sink = await fileSink(link);
    expect(await readdir(folder)).toEqual(['elsewhere', 'link']);
    await sink.abort();
    await writeText(link, 'new');
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readFile(real, 'utf8')).toBe('new');
    expect(await readdir(join(folder, 'elsewhere'))).toEqual(['file']);
  },
);

test.skipIf(process.platform === 'win32')(
  'a named pipe is refused and stays, behind a link too',
  async () => {
    const pipe = join(folder, 'pipe');
    execFileSync('mkfifo', [pipe]);
    const link = join(folder, 'link');
    await symlink(pipe, link);
    const says = 'it is a named pipe, and only a regular file can be replaced';
    expect(await refusal(pipe)).toContain(`Writing ${pipe}: ${says}`);
    expect(await refusal(link)).toContain(`Writing ${link}: ${says}`);
    expect((await lstat(pipe)).isFIFO()).toBe(true);
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(await readdir(folder)).toEqual(['link', 'pipe']);
  },
);

test.skipIf(process.platform === 'win32')('a link to nothing is refused', async () => {
  const link = join(folder, 'link');
  await symlink(join(folder, 'nothing'), link);
  expect(await refusal(link)).toContain('a symbolic link to nothing');
});

test('a folder, no folder, a file as a folder and an empty path are refused in words', async () => {
  expect(await refusal(folder)).toContain('it is a folder');
  expect(await refusal(join(folder, 'no', 'file'))).toMatch(/no does not exist; make the folder/);
  await writeFile(join(folder, 'file'), '');
  expect(await refusal(join(folder, 'file', 'out'))).toMatch(/file is no folder;/);
  expect(await refusal('')).toBe('Writing a file: its path is empty; give one.');
  expect(await readdir(folder)).toEqual(['file']);
});
