import { isFloating } from './dtype.ts';
import { UsageError } from './errors.ts';
import { accumulate, assign } from './gradient-ops.ts';
import { replay, rewrite } from './lower.ts';
import type { Operation, Program } from './program.ts';
import { Recorder, type Value } from './record.ts';
import { f32, formatSpec } from './spec.ts';

/** What a program of gradients is made for. */
export interface GradientOptions {
  /** Outputs whose cotangents come in, by name. */
  readonly of?: readonly string[];
  /** States whose new values' cotangents come in too: what the steps after this one send back. */
  readonly ofStates?: readonly string[];
  /** Parameters, inputs and states to give gradients of, by name; a state's is that of its old value. */
  readonly wrt: readonly string[];
  /**
   * Adds the gradients to states of the names `gradient.<name>`, which begin at 0, instead of giving
   * them as outputs.
   */
  readonly accumulate?: boolean;
}

/**
 * A program that runs `program` and then backwards through it (reverse-mode differentiation).
 *
 * It takes what `program` takes, and for each name of `of` and `ofStates` an input `cotangent.<name>`,
 * f32 of its shape: how much the loss changes with it. It gives what `program` gives, updates its states
 * as it does, and gives `gradient.<name>`, f32, for each name of `wrt`: how much the loss changes with
 * that. Composites without a gradient of their own are differentiated through their lowering.
 *
 * Gradients across several steps: run the steps forward and keep the states before each; then, last
 * step first, restore the states, and give each step's state gradients to the one before as `ofStates`.
 *
 * @throws UsageError for a name that the program does not have or that is no real number, for an
 * operation on the way that has no gradient, and for a name of `wrt` that nothing flows back to.
 */
export function gradients(program: Program, options: GradientOptions): Program {
  const source = lowerWithoutGradient(program);
  const { of = [], ofStates = [], wrt } = options;
  const targets = wrt.map((name) => [name, findDeclared(source, name)] as const);
  const recorder = new Recorder();
  const values = replay(source, recorder);
  const valuesOf = (ids: readonly number[]): Value[] => ids.map((id) => values.get(id)!);

  const flowing = new Map<number, Value>();
  const flow = (id: number, cotangent: Value): void => {
    const known = flowing.get(id);
    flowing.set(id, known ? accumulate([known, cotangent]) : cotangent);
  };
  const ends = [
    ...of.map((name) => [name, findOutput(source, name)] as const),
    ...ofStates.map((name) => [name, findUpdate(source, name)] as const),
  ];
  if (ends.length === 0 || targets.length === 0) {
    throw new UsageError(
      `gradients of program ${program.name} need a name at least in of or ofStates, and in wrt`,
    );
  }
  for (const [name, id] of ends) {
    const cotangent = recorder.input(`cotangent.${name}`, f32(...source.values[id]!.spec.shape));
    // A copy: a gradient may be the cotangent itself, and an output cannot be an input.
    flow(id, accumulate([cotangent]));
  }

  const reached = dependents(
    source,
    targets.map(([, id]) => id),
  );
  for (const operation of source.operations.toReversed()) {
    const cotangents = operation.outputs.map((id) => flowing.get(id));
    if (!cotangents.some(Boolean) || !operation.inputs.some((id) => reached.has(id))) continue;
    const { definition, attributes } = operation;
    if (!definition.gradient) {
      const { line } = operation;
      throw new UsageError(
        `${definition.name} in program ${program.name}${line && `, recorded at ${line},`} has no ` +
          `gradient and lies between ${ends.map(([name]) => name).join(', ')} and ` +
          `${wrt.join(', ')}; take the outputs before it`,
      );
    }
    recorder.line = () => operation.line;
    const found = definition.gradient({
      inputs: valuesOf(operation.inputs),
      outputs: valuesOf(operation.outputs),
      attributes,
      cotangents,
    });
    operation.inputs.forEach((id, i) => {
      if (found[i] && reached.has(id)) flow(id, found[i]);
    });
  }
  recorder.line = undefined;

  const outputs = new Map([...source.outputs].map(([name, id]) => [name, values.get(id)!]));
  for (const [name, id] of targets) {
    const gradient = flowing.get(id);
    if (!gradient) {
      throw new UsageError(
        `no gradient flows from ${ends.map(([end]) => end).join(', ')} of program ${program.name} ` +
          `back to '${name}'; leave it out of wrt`,
      );
    }
    if (options.accumulate) {
      const sum = recorder.state(`gradient.${name}`, f32(...gradient.shape));
      recorder.update(sum, accumulate([sum, gradient]));
    } else {
      outputs.set(`gradient.${name}`, gradient);
    }
  }
  for (const { value, update } of source.states.values()) {
    if (update === undefined || update === value) continue;
    recorder.update(values.get(value)!, assign(values.get(value)!, values.get(update)!));
  }
  const name = `${program.name} with gradients`;
  return withoutUnused(recorder.finish(name, Object.fromEntries(outputs)));
}

/** The program with every composite that has no gradient of its own built from smaller operations. */
function lowerWithoutGradient(program: Program): Program {
  const needsIt = ({ definition }: Operation): boolean =>
    definition.lower !== undefined && definition.gradient === undefined;
  if (!program.operations.some(needsIt)) return program;
  return lowerWithoutGradient(
    rewrite(program, (operation, inputs) =>
      needsIt(operation) ? operation.definition.lower!(inputs, operation.attributes) : undefined,
    ),
  );
}

/** These values and everything that is computed from them. */
function dependents(program: Program, ids: readonly number[]): ReadonlySet<number> {
  const found = new Set(ids);
  for (const { inputs, outputs } of program.operations) {
    if (inputs.some((id) => found.has(id))) outputs.forEach((id) => found.add(id));
  }
  return found;
}

/** The program without the operations whose results nobody reads. */
function withoutUnused(program: Program): Program {
  const used = new Set(program.outputs.values());
  for (const { update } of program.states.values()) if (update !== undefined) used.add(update);
  const kept = program.operations.toReversed().filter(({ inputs, outputs }) => {
    if (!outputs.some((id) => used.has(id))) return false;
    inputs.forEach((id) => used.add(id));
    return true;
  });
  return { ...program, operations: kept.toReversed() };
}

function findDeclared(program: Program, name: string): number {
  const id = program.values.findIndex((info) => info.name === name);
  if (id >= 0) return expectFloating(program, 'gradient with respect to', name, id);
  throw new UsageError(
    `program ${program.name} has no parameter, input or state '${name}' to give a gradient of`,
  );
}

function findOutput(program: Program, name: string): number {
  const id = program.outputs.get(name);
  if (id !== undefined) return expectFloating(program, 'gradient of output', name, id);
  throw new UsageError(
    `program ${program.name} has no output '${name}' to differentiate; ` +
      `it gives ${[...program.outputs.keys()].join(', ') || 'none'}`,
  );
}

function findUpdate(program: Program, name: string): number {
  const id = program.states.get(name)?.update;
  if (id !== undefined) return expectFloating(program, 'gradient of state', name, id);
  throw new UsageError(
    `program ${program.name} updates no state '${name}', so its new value cannot be differentiated`,
  );
}

function expectFloating(program: Program, what: string, name: string, id: number): number {
  const { spec } = program.values[id]!;
  if (isFloating(spec.dtype)) return id;
  throw new UsageError(
    `the ${what} '${name}' of program ${program.name} was asked for, which is ${formatSpec(spec)}; ` +
      'only real numbers have gradients',
  );
}
