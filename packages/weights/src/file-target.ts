import { UsageError } from '@rwkv-js/tensor';
import type { Stats } from 'node:fs';
import { codeOf, reasonOf } from './node-errors.ts';

/**
 * Where a file that is written to `path` belongs: the path itself, or the file that a symbolic link
 * there leads to, so that the link stays one. Node only.
 *
 * @throws UsageError for an empty path, a folder that does not exist, a link that leads nowhere, and
 * for everything that is there and no regular file: renaming onto a device would remove it.
 */
export async function fileTarget(path: string): Promise<string> {
  if (path === '') throw new UsageError('Writing a file: its path is empty; give one.');
  const { lstat, realpath, stat } = await import('node:fs/promises');
  const { dirname } = await import('node:path');
  const found = await lstat(path).catch((cause: unknown) => absent(path, cause));
  if (!found) {
    const folder = dirname(path);
    const parent = await stat(folder).catch((cause: unknown) => absent(path, cause));
    if (parent?.isDirectory()) return path;
    const problem = parent ? 'is no folder' : 'does not exist';
    throw new UsageError(`Writing ${path}: ${folder} ${problem}; make the folder first.`);
  }
  if (!found.isSymbolicLink()) return checkRegular(path, path, found);
  const real = await realpath(path).catch((cause: unknown) => absent(path, cause));
  if (real !== undefined) return checkRegular(path, real, await stat(real));
  throw new UsageError(
    `Writing ${path}: it is a symbolic link to nothing; remove it or give another path.`,
  );
}

function checkRegular(path: string, real: string, found: Stats): string {
  if (found.isFile()) return real;
  throw new UsageError(
    `Writing ${path}: it is ${kindOf(found)}, and only a regular file can be replaced; ` +
      `give the path of the file to write.`,
  );
}

function kindOf(found: Stats): string {
  if (found.isDirectory()) return 'a folder';
  if (found.isFIFO()) return 'a named pipe';
  if (found.isSocket()) return 'a socket';
  return 'a device';
}

/** Undefined when nothing is there; whatever else keeps one from looking is told. */
function absent(path: string, cause: unknown): undefined {
  const code = codeOf(cause);
  if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
  throw new UsageError(`Writing ${path}: it cannot be looked at (${reasonOf(cause)}).`, { cause });
}
