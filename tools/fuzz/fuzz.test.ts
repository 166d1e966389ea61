import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fuzz } from './fuzz.ts';
import type { FuzzCommand } from './fuzzer.ts';
import { runFuzz } from './program.ts';
import { sessions } from './sessions.ts';

/** Fails for numbers of more than 99; counts how often it was closed. */
function numbers(): FuzzCommand & { closed: number } {
  const command = {
    name: 'numbers',
    summary: 'numbers are small',
    unit: 'numbers',
    closed: 0,
    open: () => ({
      property: (held: (count: number) => void) =>
        fc.asyncProperty(fc.nat(1000), async (number) => {
          if (number > 99) throw new Error('a large number');
          held(1);
        }),
      [Symbol.asyncDispose]: async () => {
        command.closed += 1;
      },
    }),
  };
  return command;
}

describe('fuzz', () => {
  test('of sessions holds, and counts what was done', async () => {
    const seen: number[] = [];
    const report = await fuzz(sessions, { runs: 5, seed: 1, progress: (runs) => seen.push(runs) });
    expect(report).toMatchObject({ runs: 5, failure: undefined });
    expect(report.count).toBeGreaterThan(5);
    expect(seen).toEqual([1, 2, 3, 4, 5]);
  });

  test('gives the smallest input that fails, and how to have it again', async () => {
    const command = numbers();
    const { failure } = await fuzz(command, { runs: 100, seed: 5 });
    expect(failure).toContain('a large number\nthe smallest input that fails, after');
    expect(failure).toContain('\n100\n');
    const [, seed, path] = /npm run fuzz -- numbers --seed (\d+) --path (\S+)$/.exec(failure!)!;
    const again = await fuzz(command, { runs: 1, seed: Number(seed), path });
    expect(again).toMatchObject({ runs: 0, count: 0 });
    expect(again.failure).toContain('after 0 steps of shrinking:\n100\n');
    expect(command.closed).toBe(2);
  });

  test('ends after the run at hand when it is stopped', async () => {
    const controller = new AbortController();
    const report = await fuzz(sessions, {
      runs: 1000,
      seed: 2,
      signal: controller.signal,
      progress: (runs) => {
        if (runs === 2) controller.abort();
      },
    });
    expect(report).toMatchObject({ runs: 2, failure: undefined });
  });
});

describe('npm run fuzz', () => {
  async function run(commands: readonly FuzzCommand[], ...args: string[]) {
    const told = { out: '', error: '' };
    const code = await runFuzz(commands, args, {
      out: (text) => (told.out += text),
      error: (text) => (told.error += text),
      signal: new AbortController().signal,
    });
    return { ...told, code };
  }

  test('says what it did with which seed', async () => {
    expect(await run([sessions], 'sessions', '--runs', '2', '--seed', '7')).toEqual({
      out: expect.stringMatching(/^fuzz sessions: 2 runs, seed 7\n2 runs held, \d+ actions\n$/),
      error: '',
      code: 0,
    });
  });

  test('says what failed, and picks a seed', async () => {
    const { out, error, code } = await run([numbers()], 'numbers');
    expect(out).toMatch(/^fuzz numbers: 1000 runs, seed \d+\n\d+ runs held, \d+ numbers\n$/);
    expect(error).toContain('a large number');
    expect(code).toBe(1);
  });

  test('helps, and refuses what it does not know', async () => {
    const help = await run([sessions], '--help');
    expect(help).toMatchObject({ error: '', code: 0 });
    expect(help.out).toMatch(/sessions \[options\] {2}what is done to several sessions/);
    for (const [args, message] of [
      [['sessions', '--runs', '0'], 'It must be a whole number from 1 to'],
      [['sessions', '--seed', 'x'], 'It must be a whole number from 0 to'],
      [['sessions', '--path', '1:x'], 'It must be the numbers that a failed run gave'],
      [['sesions'], 'Did you mean sessions?'],
    ] as const) {
      const { error, code } = await run([sessions], ...args);
      expect(error).toContain(message);
      expect(code).toBe(1);
    }
  });
});
