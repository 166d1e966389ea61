import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { importPeer } from './peers/import-peer.mjs';

const folder = new URL('peers/', import.meta.url);

/**
 * Installs what benchmarks compare with, in bench/peers, at the exact versions of its package.json. They
 * are no part of the workspace, so that a clone is not as large as all of them.
 */
export function installPeers(): void {
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const { status, error } = spawnSync(
    npm,
    ['install', '--no-package-lock', '--ignore-scripts', '--no-audit', '--no-fund'],
    { cwd: fileURLToPath(folder), stdio: 'inherit', shell: process.platform === 'win32' },
  );
  if (status !== 0)
    throw new Error(`installing the peers of the benchmarks failed`, { cause: error });
}

/** A peer with its version, or undefined, said on standard error, where it is not installed. */
export async function openPeer<T>(
  name: string,
): Promise<{ readonly module: T; readonly version: string } | undefined> {
  const manifest = new URL(`node_modules/${name}/package.json`, folder);
  if (!existsSync(manifest)) {
    console.error(
      `${name} is not installed: npm run bench -- peers installs what to compare with\n`,
    );
    return undefined;
  }
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  return { module: (await importPeer(name)) as T, version };
}
