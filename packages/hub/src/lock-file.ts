import { codeOf } from './failures.ts';
import { wait } from './patience.ts';
import type { Lock } from './storage.ts';

const lookEvery = 200;
const beatEvery = 10_000;
/** A lock of another machine that has shown no life for so long is left over. */
const longestSilence = 120_000;

/**
 * Holds a file that only one process has at a time. A lock whose process is gone is taken over: on
 * this machine at once, from another machine (a shared disk) after two minutes of silence. Those who
 * take over at the same moment could, in the worst case, both hold it: what it guards must bear that,
 * and only be done twice.
 */
export async function lockFile(
  path: string,
  signal: AbortSignal,
  waiting: () => Promise<void>,
): Promise<Lock> {
  const fs = await import('node:fs/promises');
  const { hostname } = await import('node:os');
  const { randomUUID } = await import('node:crypto');
  const mine = JSON.stringify({ process: process.pid, machine: hostname(), id: randomUUID() });
  for (;;) {
    signal.throwIfAborted();
    try {
      await fs.writeFile(path, mine, { flag: 'wx' });
      break;
    } catch (error) {
      if (codeOf(error) !== 'EEXIST') throw error;
    }
    const left = await leftOver();
    if (left !== undefined) await takeAway(left);
    else {
      await waiting();
      await wait(lookEvery, signal);
    }
  }
  const beat = setInterval(() => {
    const now = new Date();
    fs.utimes(path, now, now).catch(() => {});
  }, beatEvery);
  beat.unref();
  let released = false;
  return {
    async release() {
      if (released) return;
      released = true;
      clearInterval(beat);
      const text = await fs.readFile(path, 'utf8').catch(() => undefined);
      if (text === mine) await fs.rm(path, { force: true });
    },
  };

  /** What a lock says whose holder is gone; undefined when it is held. */
  async function leftOver(): Promise<string | undefined> {
    try {
      const age = Date.now() - (await fs.stat(path)).mtimeMs;
      const text = await fs.readFile(path, 'utf8');
      const holder = parse(text);
      // A lock that was made and not yet written looks empty for a moment.
      let gone = age > (holder ? longestSilence : beatEvery);
      if (holder?.machine === hostname()) gone = !isAlive(holder.process);
      return gone ? text : undefined;
    } catch {
      return undefined;
    }
  }

  /** Moved aside first, so that of two who take it away one does; the lock of a faster one goes back. */
  async function takeAway(left: string): Promise<void> {
    const aside = `${path}.${randomUUID()}`;
    try {
      await fs.rename(path, aside);
      if ((await fs.readFile(aside, 'utf8')) !== left) await fs.link(aside, path);
    } catch {
      // Another was faster.
    } finally {
      await fs.rm(aside, { force: true });
    }
  }
}

function parse(text: string): { process: number; machine: string } | undefined {
  try {
    const { process, machine } = JSON.parse(text) as Record<string, unknown>;
    return typeof process === 'number' && typeof machine === 'string'
      ? { process, machine }
      : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
