import { costOf, plan, type KernelTable, type PlanCost } from '@rwkv-js/tensor';
import { readConfig, type NamedTensors } from './config.ts';
import { recordStep } from './frame.ts';

/** What one step of a model takes on a device. */
export interface StepPlan extends PlanCost {
  /** Every kernel by name: how often it runs, and what it moves and computes in all. */
  readonly kernels: ReadonlyMap<string, KernelTotal>;
  /** Kernels that the last layer launches; undefined for a model of one layer. */
  readonly callsOfALayer: number | undefined;
}

export interface KernelTotal {
  readonly calls: number;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly operations: number;
}

/**
 * Plans a step for a device's table, from names, dtypes and shapes alone: nothing is read, nothing is
 * allocated, and the device need not be there.
 *
 * @param shape tokens of the step in all, and sequences they may belong to
 * @throws FormatError when the tensors are not those of an RWKV model; UsageError when the table lacks
 * an operation.
 */
export function planStep(
  source: NamedTensors,
  table: KernelTable,
  { tokens, sequences }: { readonly tokens: number; readonly sequences: number },
): StepPlan {
  const config = readConfig(source);
  const dtypes = new Map([...source.tensors].map(([name, { dtype }]) => [name, dtype]));
  const rows = Math.min(tokens, sequences);
  const { activations, stepsPerReadback } = table;
  const shape = { tokens, slots: sequences, rows, activations, stepsPerReadback };
  const program = recordStep(config, dtypes, shape);
  const made = plan(program, table);
  const kernels = new Map<string, KernelTotal>();
  for (const { kernel, cost } of made.calls) {
    const known = kernels.get(kernel);
    kernels.set(kernel, {
      calls: (known?.calls ?? 0) + 1,
      bytesRead: (known?.bytesRead ?? 0) + cost.bytesRead,
      bytesWritten: (known?.bytesWritten ?? 0) + cost.bytesWritten,
      operations: (known?.operations ?? 0) + cost.operations,
    });
  }
  return {
    ...costOf(made),
    kernels,
    callsOfALayer: callsOfALayer(source, table, made.calls.length),
  };
}

/** What the model launches more than it would without its last layer. */
function callsOfALayer(source: NamedTensors, table: KernelTable, all: number): number | undefined {
  const { layers } = readConfig(source);
  if (layers < 2) return undefined;
  const last = `blocks.${layers - 1}.`;
  const tensors = new Map([...source.tensors].filter(([name]) => !name.startsWith(last)));
  const fewer = { label: source.label, tensors };
  const dtypes = new Map([...tensors].map(([name, { dtype }]) => [name, dtype]));
  const program = recordStep(readConfig(fewer), dtypes, {
    tokens: 1,
    slots: 1,
    rows: 1,
    activations: table.activations,
  });
  return all - plan(program, table).calls.length;
}
