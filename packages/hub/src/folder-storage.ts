import { UsageError } from '@rwkv-js/tensor';
import type { FileHandle } from 'node:fs/promises';
import { environment } from './environment.ts';
import { codeOf } from './failures.ts';
import { lockFile } from './lock-file.ts';
import type { Storage, StoredData, WritableData } from './storage.ts';
import { sumOnThread } from './sum-thread.ts';

/**
 * The folder of the cache: `RWKV_CACHE`, or `rwkv-js` in `HF_HOME`, or in `XDG_CACHE_HOME`, or in
 * `~/.cache`; the first that is set.
 */
export async function defaultFolder(): Promise<string> {
  const { join } = await import('node:path');
  const { homedir } = await import('node:os');
  const own = environment('RWKV_CACHE');
  if (own !== undefined) return own;
  const parent = environment('HF_HOME') ?? environment('XDG_CACHE_HOME');
  return join(parent ?? join(homedir(), '.cache'), 'rwkv-js');
}

/** Storage in a folder of the disk, for Node. The folder is made when something is written. */
export async function folderStorage(folder: string): Promise<Storage> {
  const fs = await import('node:fs/promises');
  const { join, resolve } = await import('node:path');
  const { randomUUID } = await import('node:crypto');
  const { uptime } = await import('node:os');
  const place = resolve(folder);
  const path = (key: string, name: string): string => join(place, key, name);

  async function made(key: string): Promise<void> {
    try {
      await fs.mkdir(join(place, key), { recursive: true });
    } catch (cause) {
      throw new UsageError(
        `Caching in ${place}: the folder cannot be made (${codeOf(cause)}); give another with RWKV_CACHE.`,
        { cause },
      );
    }
  }

  return {
    kind: 'folder',
    place,
    pieceBytes: 512 * 1024,
    async keys() {
      const found = await unlessAbsent(fs.readdir(place, { withFileTypes: true }));
      return (found ?? []).filter((entry) => entry.isDirectory()).map(({ name }) => name);
    },
    async names(key) {
      const found = (await unlessAbsent(fs.readdir(join(place, key)))) ?? [];
      const sizes = found.map(async (name) => {
        const stat = await unlessAbsent(fs.stat(path(key, name)));
        return [name, stat?.size ?? 0] as const;
      });
      return new Map(await Promise.all(sizes));
    },
    readText: (key, name) => unlessAbsent(fs.readFile(path(key, name), 'utf8')),
    async writeText(key, name, text) {
      await made(key);
      const temporary = path(key, `${name}.${randomUUID()}`);
      try {
        await fs.writeFile(temporary, text, { flag: 'wx', flush: true });
        await fs.rename(temporary, path(key, name));
      } catch (error) {
        await fs.rm(temporary, { force: true });
        throw error;
      }
    },
    async openData(key, name) {
      const handle = await unlessAbsent(fs.open(path(key, name), 'r'));
      return handle && data(handle, (await handle.stat()).size);
    },
    async writeData(key, name) {
      await made(key);
      const { O_CREAT, O_RDWR } = fs.constants;
      const handle = await fs.open(path(key, name), O_CREAT | O_RDWR, 0o666);
      const written = data(handle, (await handle.stat()).size);
      return { ...written, sum: () => sumOnThread(path(key, name)) };
    },
    async nameData(key, from, to) {
      await fs.rename(path(key, from), path(key, to));
      return to;
    },
    async stamp(key, name) {
      const stat = await unlessAbsent(fs.stat(path(key, name)));
      return stat && `${stat.size} bytes of ${stat.mtimeMs}`;
    },
    path,
    async remove(key, name) {
      const what = name === undefined ? join(place, key) : path(key, name);
      await fs.rm(what, { recursive: true, force: true, maxRetries: 3 });
    },
    async boot() {
      const linux = await fs.readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '');
      // Elsewhere by the time; where clocks are set, data is checked once too often.
      return linux.trim() || `minute ${Math.round((Date.now() / 1000 - uptime()) / 60)}`;
    },
    async free() {
      for (let at = place; ; at = join(at, '..')) {
        const stat = await unlessAbsent(fs.statfs(at));
        if (stat) return stat.bavail * stat.bsize;
        if (at === join(at, '..')) return undefined;
      }
    },
    async lock(key, signal, waiting, name = 'lock') {
      await made(key);
      return lockFile(path(key, name), signal, waiting);
    },
  };
}

function data(handle: FileHandle, size: number): WritableData & StoredData {
  return {
    size,
    async read(position, length, into) {
      const bytes = into?.subarray(0, length) ?? new Uint8Array(length);
      let got = 0;
      // One call may give less than it was asked for without being at the end.
      while (got < length) {
        const { bytesRead } = await handle.read(bytes, got, length - got, position + got);
        if (bytesRead === 0) break;
        got += bytesRead;
      }
      return bytes.subarray(0, got);
    },
    async write(position, bytes) {
      for (let at = 0; at < bytes.length;) {
        at += (await handle.write(bytes, at, bytes.length - at, position + at)).bytesWritten;
      }
    },
    sync: () => handle.datasync(),
    close: () => handle.close(),
  };
}

/** What `promise` gives; undefined when there is no such file. */
async function unlessAbsent<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (codeOf(error) === 'ENOENT' || codeOf(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
