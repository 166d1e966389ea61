import { formatAttributes, onValues, type Operation, type Program } from './program.ts';

/**
 * A program with the work that depends on parameters alone taken out. What such work gives is a
 * parameter of `program` under a name that spells how it is made, so two programs of one model that
 * derive the same thing share it.
 */
export interface LoadTimeSplit {
  /** What runs at every step. */
  readonly program: Program;
  /** What runs once at load: one program for each derived parameter, with one output, `value`. */
  readonly derived: ReadonlyMap<string, Program>;
}

const splits = new WeakMap<Program, LoadTimeSplit>();

/**
 * Splits a program into what is computed once at load and what runs at every step. What the program
 * gives as an output is computed at every step, even where it depends on parameters alone.
 */
export function splitLoadTime(program: Program): LoadTimeSplit {
  const known = splits.get(program);
  if (known) return known;
  const split = makeSplit(program);
  splits.set(program, split);
  return split;
}

/** The parameters of a program and what is computed at load, of them alone. */
export function fromParameters(program: Program): ReadonlySet<number> {
  const found = new Set<number>();
  program.values.forEach((info, id) => {
    if (info.kind === 'parameter') found.add(id);
  });
  const outputs = new Set(program.outputs.values());
  for (const operation of program.operations) {
    if (!operation.inputs.every((id) => found.has(id))) continue;
    if (operation.outputs.some((id) => outputs.has(id))) continue;
    for (const id of operation.outputs) found.add(id);
  }
  return found;
}

function makeSplit(program: Program): LoadTimeSplit {
  const loaded = fromParameters(program);
  const maker = new Map<number, Operation>();
  for (const operation of program.operations) {
    for (const id of operation.outputs) if (loaded.has(id)) maker.set(id, operation);
  }
  const running = program.operations.filter((operation) => !maker.has(operation.outputs[0]!));
  const wanted = new Set<number>();
  for (const operation of running) for (const id of operation.inputs) wanted.add(id);
  for (const id of program.outputs.values()) wanted.add(id);

  // A value that is made twice in the same way is one parameter: the first stands for both.
  const firstOf = new Map<string, number>();
  const standIn = new Map<number, number>();
  const derived = new Map<string, Program>();
  for (const id of wanted) {
    if (!maker.has(id)) continue;
    const name = expression(program, maker, id);
    const first = firstOf.get(name) ?? id;
    firstOf.set(name, first);
    standIn.set(id, first);
    if (first === id) derived.set(name, programFor(program, maker, id, name));
  }
  const values = [...program.values];
  // Parameters that only load-time work reads are not parameters of the step.
  for (const id of loaded) {
    if (!wanted.has(id)) values[id] = { kind: 'computed', spec: values[id]!.spec };
  }
  for (const [name, id] of firstOf)
    values[id] = { kind: 'parameter', name, spec: values[id]!.spec };
  const operations = running.map((operation) =>
    onValues(
      operation,
      operation.inputs.map((id) => standIn.get(id) ?? id),
    ),
  );
  return { program: { ...program, values, operations }, derived };
}

/** How a derived value is made, as text: `exp(negate(blocks.0.att.time_decay))`. */
function expression(program: Program, maker: Map<number, Operation>, id: number): string {
  const operation = maker.get(id);
  if (!operation) return program.values[id]!.name!;
  const inputs = operation.inputs.map((input) => expression(program, maker, input));
  const attributes = formatAttributes(operation.attributes);
  const which = operation.outputs.length > 1 ? `#${operation.outputs.indexOf(id)}` : '';
  return `${operation.definition.name}(${inputs.join(', ')}${attributes})${which}`;
}

/** The part of `program` that makes one value, as a program of its own. */
function programFor(
  program: Program,
  maker: Map<number, Operation>,
  id: number,
  name: string,
): Program {
  const needed = new Set<number>();
  const visit = (value: number): void => {
    if (needed.has(value)) return;
    needed.add(value);
    const operation = maker.get(value);
    operation?.outputs.forEach((output) => needed.add(output));
    operation?.inputs.forEach(visit);
  };
  visit(id);
  const place = new Map([...needed].sort((a, b) => a - b).map((old, index) => [old, index]));
  const move = (old: number): number => place.get(old)!;
  return {
    name: `load ${name}`,
    values: [...place.keys()].map((old) => program.values[old]!),
    operations: program.operations
      .filter((operation) => needed.has(operation.outputs[0]!))
      .map((operation) =>
        onValues(operation, operation.inputs.map(move), operation.outputs.map(move)),
      ),
    states: new Map(),
    outputs: new Map([['value', move(id)]]),
  };
}
