import type { Attributes, OpDefinition } from './op.ts';
import type { OperationView } from './kernel-table.ts';
import { formatSpec, type TensorSpec } from './spec.ts';

/** Where a value comes from: `computed` by an operation, or declared by name. */
export interface ValueInfo {
  readonly kind: 'input' | 'parameter' | 'state' | 'computed';
  /** Present for everything but computed values. */
  readonly name?: string;
  readonly spec: TensorSpec;
}

/** One operation: which op, on which values. Values are places in `Program.values`. */
export interface Operation {
  readonly definition: OpDefinition;
  readonly attributes: Attributes;
  readonly inputs: readonly number[];
  readonly outputs: readonly number[];
  /** `file.ts:12` where it was recorded; empty when not known. */
  readonly line: string;
}

/** The same operation on other values. Its line stays unread, since spelling one out is slow. */
export function onValues(
  operation: Operation,
  inputs: readonly number[],
  outputs: readonly number[] = operation.outputs,
): Operation {
  const { definition, attributes } = operation;
  return {
    definition,
    attributes,
    inputs,
    outputs,
    get line() {
      return operation.line;
    },
  };
}

/** A state of a program. */
export interface StateSlot {
  /** The value it has before the run. */
  readonly value: number;
  /** The value it has after the run; not there when the run leaves it as it is. */
  readonly update?: number;
  /** What every element is before the first run. */
  readonly fill: number;
}

/**
 * A recorded program: plain, immutable data. Operations are in an order in which every one comes
 * after what it reads.
 */
export interface Program {
  readonly name: string;
  readonly values: readonly ValueInfo[];
  readonly operations: readonly Operation[];
  readonly states: ReadonlyMap<string, StateSlot>;
  readonly outputs: ReadonlyMap<string, number>;
}

/**
 * One operation as a kernel table sees it.
 *
 * @param parameters the values that `fromParameters` gives of the program
 */
export function viewOf(
  program: Program,
  operation: Operation,
  parameters: ReadonlySet<number>,
): OperationView {
  return {
    definition: operation.definition,
    attributes: operation.attributes,
    inputs: operation.inputs.map((id) => program.values[id]!.spec),
    outputs: operation.outputs.map((id) => program.values[id]!.spec),
    isParameter: operation.inputs.map((id) => parameters.has(id)),
  };
}

/** The declared values of one kind, by name. */
export function declared(
  program: Program,
  kind: 'input' | 'parameter' | 'state',
): ReadonlyMap<string, TensorSpec> {
  const found = new Map<string, TensorSpec>();
  for (const info of program.values) {
    if (info.kind === kind && info.name !== undefined) found.set(info.name, info.spec);
  }
  return found;
}

/**
 * The program as text, one line an operation. Declared values appear by name, computed ones as `%n`.
 *
 * @param options.lines adds the source line that recorded each operation
 */
export function formatProgram(program: Program, options: { lines?: boolean } = {}): string {
  const name = (id: number): string => program.values[id]!.name ?? `%${id}`;
  const lines = [`program ${program.name}`];
  for (const kind of ['input', 'state'] as const) {
    for (const [key, spec] of declared(program, kind)) {
      lines.push(`  ${kind} ${key}: ${formatSpec(spec)}`);
    }
  }
  const updates = new Map<number, string>();
  for (const [key, state] of program.states) {
    if (state.update !== undefined) updates.set(state.update, key);
  }
  for (const operation of program.operations) {
    const outputs = operation.outputs.map((id) => {
      const updated = updates.get(id);
      const as = updated === undefined ? '' : ` -> ${updated}`;
      return `${name(id)}: ${formatSpec(program.values[id]!.spec)}${as}`;
    });
    const attributes = formatAttributes(operation.attributes);
    const call = `${operation.definition.name}(${operation.inputs.map(name).join(', ')}${attributes})`;
    const line = options.lines && operation.line ? `  // ${operation.line}` : '';
    lines.push(`  ${outputs.join(', ')} = ${call}${line}`);
  }
  for (const [key, id] of program.outputs) lines.push(`  output ${key} = ${name(id)}`);
  return lines.join('\n') + '\n';
}

/** Attributes as they stand in a listing: `, epsilon=0.00001`; empty when there are none. */
export function formatAttributes(attributes: Attributes): string {
  return Object.entries(attributes)
    .filter(([, value]) => value !== undefined)
    .map(
      ([key, value]) =>
        `, ${key}=${Array.isArray(value) ? `[${value.join(', ')}]` : String(value)}`,
    )
    .join('');
}
