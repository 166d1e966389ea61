import { openCpu } from '@rwkv-js/core';
import { dtypeName, lower, plan, type Device, type KernelTable } from '@rwkv-js/tensor';
import { afterAll, describe, expect, onTestFailed, test } from 'vitest';
import { conformanceCases } from './cases.ts';
import { firstDifference, programOf, runCase } from './run-case.ts';

/**
 * Holds a device against the reference in double precision, case by case, and each composite that the
 * device has a kernel for against its own lowering. Call it in a test file of the device's package.
 */
export function describeConformance(name: string, open: () => Device | Promise<Device>): void {
  describe(`conformance of ${name}`, () => {
    const cases = conformanceCases.map((one) => [`${one.op}: ${one.name}`, one] as const);
    // Opening may take longer than a case. A device that failed one is not asked for the next.
    let opened: Device | undefined;
    const close = async (): Promise<void> => {
      const device = opened;
      opened = undefined;
      await device?.dispose();
    };
    afterAll(close);
    test.each(cases)('%s', async (_, one) => {
      const device = (opened ??= await open());
      onTestFailed(close);
      await using oracle = openCpu({ precision: 'f64' });
      const difference = firstDifference(
        one,
        await runCase(device, one),
        await runCase(oracle, one),
      );
      expect(difference).toBeUndefined();
    });
  });
}

/** How a device runs an operation. */
export type Support = 'kernel' | 'lowered' | 'loops' | 'missing';

/** Which operations, on which dtypes of parameters, a table has kernels for, as its cases see it. */
export function supportOf(table: KernelTable): ReadonlyMap<string, Support> {
  const support = new Map<string, Support>();
  for (const one of conformanceCases) {
    const dtypes = new Set(
      one.tensors.flatMap(({ role, tensor }) =>
        role === 'parameter' ? [dtypeName(tensor.dtype)] : [],
      ),
    );
    const key = `${one.op}${dtypes.size > 0 ? ` (${[...dtypes].join(', ')})` : ''}`;
    if (support.get(key) === 'missing') continue;
    support.set(key, supportOfCase(one, table));
  }
  return support;
}

function supportOfCase(one: (typeof conformanceCases)[number], table: KernelTable): Support {
  const program = programOf(one);
  try {
    const { calls } = plan(program, table);
    // A device without a kernel for an operation may run the reference loops, and says so.
    if (calls.some(({ kernel }) => kernel === 'reference')) return 'loops';
  } catch {
    return 'missing';
  }
  return lower(program, table) === program ? 'kernel' : 'lowered';
}

/** The support of several tables as a table in Markdown. */
export function formatSupport(tables: readonly KernelTable[]): string {
  const columns = tables.map((table) => supportOf(table));
  const names = [...columns[0]!.keys()];
  const rows = names.map(
    (name) => `| ${[name, ...columns.map((of) => of.get(name)!)].join(' | ')} |`,
  );
  const heading = ['operation (parameters)', ...tables.map(({ name }) => name)];
  return [
    `| ${heading.join(' | ')} |`,
    `| ${heading.map(() => '---').join(' | ')} |`,
    ...rows,
  ].join('\n');
}
