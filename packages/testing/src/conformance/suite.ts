import { openCpu } from '@rwkv-js/core';
import { dtypeName, lower, plan, type Device, type KernelTable } from '@rwkv-js/tensor';
import { afterAll, describe, expect, onTestFailed, test } from 'vitest';
import { conformanceCases } from './cases.ts';
import { gradientCases, type GradientCase } from './gradient-cases.ts';
import { firstDifference, programOf, runCase } from './run-case.ts';

/**
 * Holds a device against the reference in double precision, case by case, and each composite that the
 * device has a kernel for against its own lowering; then the gradients of the cases that have one, and of
 * a whole RWKV-7 block. (The reference's own gradients are held to finite differences.) Call it in a test
 * file of the device's package.
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
    const difference = async (...of: CaseAndProgram): Promise<string | undefined> => {
      const device = (opened ??= await open());
      onTestFailed(close);
      await using oracle = openCpu({ precision: 'f64' });
      return firstDifference(of[0], await runCase(device, ...of), await runCase(oracle, ...of));
    };
    test.each(cases)('%s', async (_, one) => {
      expect(await difference(one)).toBeUndefined();
    });

    const ways = gradientCases().map((each) => [`${each.one.op}: ${each.one.name}`, each] as const);
    test.for(ways)('the gradients of %s', async ([, each], { skip }) => {
      const { name: table, memory } = (opened ??= await open()).kernels;
      skip(
        memory.bindings < buffersOf(each),
        `${table} binds ${memory.bindings} buffers to a kernel`,
      );
      expect(await difference(each.one, each.program, each.cotangents)).toBeUndefined();
    });
  });
}

/** What {@link runCase} takes besides the device. */
type CaseAndProgram = Parameters<typeof runCase> extends [Device, ...infer Rest] ? Rest : never;

/**
 * The buffers that a case's kernel with the most of them takes, where it is known to be too many for some
 * devices: the three states of wkv4 cannot be written in place while the way back reads their old values.
 */
function buffersOf({ one }: GradientCase): number {
  return one.op === 'wkv4' ? 12 : 0;
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
