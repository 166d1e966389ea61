import type { KernelTable } from './kernel-table.ts';
import { fromParameters } from './load-time.ts';
import type { RowPart } from './op.ts';
import { viewOf, type Operation, type Program } from './program.ts';
import { Recorder, type Value } from './record.ts';
import { rowParts, tooLarge } from './row-parts.ts';

/**
 * The program with every composite that the table has no kernel for built from smaller operations,
 * and those in turn. A composite that takes more at once than a kernel can see is built so, too, and an
 * operation on a parameter of that size from parts of its rows, which `splitLoadTime` makes parameters of their
 * own. Operations of a lowering carry the line of the one they stand for.
 */
export function lower(program: Program, table: KernelTable): Program {
  const parameters = fromParameters(program);
  const needsIt = (operation: Operation): boolean =>
    operation.definition.lower !== undefined &&
    // Parameters alone: what a model loads must not depend on how many tokens a program takes.
    (tooLarge(program, operation, table).some((id) => parameters.has(id)) ||
      !table.launch(viewOf(program, operation, parameters)));
  const partsOf = (operation: Operation): readonly RowPart[] | undefined => {
    const { byRows } = operation.definition;
    const id = byRows && operation.inputs[byRows.argument];
    if (id === undefined || !parameters.has(id)) return undefined;
    if (!tooLarge(program, operation, table).includes(id)) return undefined;
    return rowParts(program.values[id]!.spec, table.memory);
  };
  const isChanged = (operation: Operation): boolean =>
    needsIt(operation) || partsOf(operation) !== undefined;
  if (!program.operations.some(isChanged)) return program;
  const lowered = rewrite(program, (operation, inputs) => {
    const { definition, attributes } = operation;
    if (needsIt(operation)) return definition.lower!(inputs, attributes);
    const parts = partsOf(operation);
    return parts && definition.byRows!.build(inputs, parts, attributes);
  });
  return lower(lowered, table);
}

/**
 * Records a program anew, operation by operation.
 *
 * @param replace records what stands in an operation's place and gives its outputs, or gives undefined
 * to keep it
 */
export function rewrite(
  program: Program,
  replace: (operation: Operation, inputs: readonly Value[]) => readonly Value[] | undefined,
): Program {
  const recorder = new Recorder();
  const values = replay(program, recorder, replace);
  for (const state of program.states.values()) {
    if (state.update !== undefined) {
      recorder.update(values.get(state.value)!, values.get(state.update)!);
    }
  }
  const outputs = [...program.outputs].map(([name, id]) => [name, values.get(id)!] as const);
  return recorder.finish(program.name, Object.fromEntries(outputs));
}

/**
 * Records a program's values and operations into another recording; updates and outputs are left open.
 *
 * @returns the new value for each value of the program
 */
export function replay(
  program: Program,
  recorder: Recorder,
  replace?: (operation: Operation, inputs: readonly Value[]) => readonly Value[] | undefined,
): ReadonlyMap<number, Value> {
  const values = new Map<number, Value>();
  program.values.forEach(({ kind, name, spec }, id) => {
    if (kind === 'input') values.set(id, recorder.input(name!, spec));
    else if (kind === 'parameter') values.set(id, recorder.parameter(name!, spec));
    else if (kind === 'state') {
      values.set(id, recorder.state(name!, spec, program.states.get(name!)!.fill));
    }
  });
  for (const operation of program.operations) {
    recorder.line = () => operation.line;
    const inputs = operation.inputs.map((id) => values.get(id)!);
    const outputs =
      replace?.(operation, inputs) ??
      recorder.apply(operation.definition, inputs, operation.attributes);
    operation.outputs.forEach((id, i) => values.set(id, outputs[i]!));
  }
  recorder.line = undefined;
  return values;
}
