import { placeInArena, type Lifetime } from './arena.ts';
import { ShapeError, UsageError } from './errors.ts';
import type { KernelTable } from './kernel-table.ts';
import { fromParameters, splitLoadTime } from './load-time.ts';
import { lower } from './lower.ts';
import type { Cost } from './op.ts';
import { formatSpec, type TensorSpec } from './spec.ts';
import { viewOf, type Operation, type Program } from './program.ts';

/** A piece of memory that calls refer to by its place in `Plan.buffers`. */
export interface PlanBuffer {
  readonly kind: 'input' | 'parameter' | 'state' | 'output' | 'intermediate';
  /** Name of the input, parameter, state or output. */
  readonly name?: string;
  readonly byteLength: number;
}

/** One argument of a kernel: a range of a buffer. */
export interface BufferUse {
  readonly buffer: number;
  readonly byteOffset: number;
  readonly byteLength: number;
  readonly access: 'read' | 'write' | 'readwrite';
}

/** One kernel to run. Inputs come first, then outputs; an output written in place stands twice. */
export interface KernelCall {
  readonly kernel: string;
  readonly buffers: readonly BufferUse[];
  readonly grid: readonly [number, number, number];
  readonly scalars: readonly number[];
  readonly scratchBytes: number;
  readonly cost: Cost;
  /** The operation it came from, in `Plan.program.operations`; for errors, listings, references. */
  readonly operation: number;
}

/** A named value of a plan and where it lies. */
export interface PlanSlot {
  readonly spec: TensorSpec;
  readonly use: BufferUse;
}

/** A program laid out for a device: a list of kernels over buffers, to be replayed as it stands. */
export interface Plan {
  /** The program whose operations the calls refer to: load-time work taken out, order as run. */
  readonly program: Program;
  readonly buffers: readonly PlanBuffer[];
  readonly calls: readonly KernelCall[];
  readonly inputs: ReadonlyMap<string, PlanSlot>;
  readonly parameters: ReadonlyMap<string, PlanSlot & { readonly layout: string }>;
  readonly states: ReadonlyMap<string, PlanSlot>;
  readonly outputs: ReadonlyMap<string, PlanSlot>;
  /** How the parameters that are no tensors of a file are made, once, at load; see `splitLoadTime`. */
  readonly derived: ReadonlyMap<string, Program>;
}

/** Where a value lies: a buffer and an offset in it. */
interface Place {
  readonly buffer: number;
  readonly byteOffset: number;
}

/**
 * Lays a program out for a device: lowers the composites it has no kernel for, takes load-time work
 * out, orders readers of a state before its writer, gives every value its memory and asks the table
 * how each operation is launched.
 *
 * @throws UsageError when the device lacks an operation or cannot bind its buffers, when a state's
 * update cannot be written where the state lies, and for an output that no operation gives;
 * ShapeError for a parameter that operations want in different layouts.
 */
export function plan(program: Program, table: KernelTable): Plan {
  const { program: split, derived } = splitLoadTime(lower(program, table));
  const step = orderStateReaders(split);
  const aliases = findAliases(step);
  const root = (id: number): number => ownerOf(aliases, id);

  const buffers: PlanBuffer[] = [];
  const places = new Map<number, Place>();
  const bytesOf = (id: number): number => table.memory.byteLength(step.values[id]!.spec);
  const addBuffer = (buffer: PlanBuffer): number => buffers.push(buffer) - 1;

  step.values.forEach((info, id) => {
    if (info.kind === 'computed') return;
    const buffer = addBuffer({ kind: info.kind, name: info.name!, byteLength: bytesOf(id) });
    places.set(id, { buffer, byteOffset: 0 });
  });
  for (const [name, id] of step.outputs) {
    const info = step.values[root(id)]!;
    if (info.kind !== 'computed') {
      throw new UsageError(
        `output '${name}' of program ${step.name} is its ${info.kind} '${info.name}' itself; ` +
          'read that, or give the output of an operation',
      );
    }
    if (places.has(root(id))) continue;
    const buffer = addBuffer({ kind: 'output', name, byteLength: bytesOf(root(id)) });
    places.set(root(id), { buffer, byteOffset: 0 });
  }
  placeIntermediates(step, table, root, places, addBuffer);

  const useOf = (id: number, access: BufferUse['access']): BufferUse => {
    const place = places.get(root(id))!;
    return { ...place, byteLength: bytesOf(id), access };
  };
  const parameters = fromParameters(step);
  const calls = step.operations.flatMap((operation, index): KernelCall[] => {
    if (operation.definition.view) return [];
    return [makeCall(step, operation, index, table, parameters, root, useOf)];
  });
  return {
    program: step,
    buffers,
    calls,
    inputs: slotsOf(step, 'input', useOf),
    parameters: parameterSlots(step, table, useOf),
    states: slotsOf(step, 'state', useOf),
    outputs: new Map(
      [...step.outputs].map(([name, id]) => [
        name,
        { spec: step.values[id]!.spec, use: useOf(id, 'read') },
      ]),
    ),
    derived,
  };
}

function makeCall(
  step: Program,
  operation: Operation,
  index: number,
  table: KernelTable,
  parameters: ReadonlySet<number>,
  root: (id: number) => number,
  useOf: (id: number, access: BufferUse['access']) => BufferUse,
): KernelCall {
  const { definition } = operation;
  const view = viewOf(step, operation, parameters);
  const launch = table.launch(view);
  if (!launch) {
    const given = view.inputs.map(formatSpec).join(', ');
    throw new UsageError(
      `device ${table.name} has no kernel for ${definition.name}(${given})` +
        `${operation.line && ` recorded at ${operation.line}`}; use another device or other dtypes`,
    );
  }
  const written = new Set(operation.outputs.map(root));
  const uses = [
    ...operation.inputs.map((id) => useOf(id, written.has(root(id)) ? 'readwrite' : 'read')),
    ...operation.outputs.map((id) => useOf(id, 'write')),
  ];
  // Values that share the arena are bound one by one all the same.
  const distinct = new Set(uses.map((use) => `${use.buffer} ${use.byteOffset}`)).size;
  if (distinct > table.memory.bindings) {
    throw new UsageError(
      `${definition.name} takes ${distinct} buffers and device ${table.name} binds ` +
        `${table.memory.bindings} to a kernel; record it in smaller parts`,
    );
  }
  const { largestBinding } = table.memory;
  const tooLarge = [...operation.inputs, ...operation.outputs].find(
    (_, i) => uses[i]!.byteLength > largestBinding,
  );
  if (tooLarge !== undefined) {
    throw new UsageError(
      `${definition.name} takes ${formatSpec(step.values[tooLarge]!.spec)} and an argument of device ` +
        `${table.name} holds ${largestBinding} bytes; record it in smaller parts`,
    );
  }
  if (launch.scratchBytes > largestBinding) {
    throw new UsageError(
      `${definition.name} needs ${launch.scratchBytes} bytes of working memory and an argument of device ` +
        `${table.name} holds ${largestBinding}; record it in smaller parts`,
    );
  }
  return { ...launch, buffers: uses, operation: index };
}

/** The values that lie in another value's memory: views, and updates of states written in place. */
function findAliases(step: Program): ReadonlyMap<number, number> {
  const aliases = new Map<number, number>();
  const maker = new Map<number, Operation>();
  for (const operation of step.operations) {
    for (const id of operation.outputs) maker.set(id, operation);
    if (operation.definition.view) aliases.set(operation.outputs[0]!, operation.inputs[0]!);
  }
  for (const [name, state] of step.states) {
    if (state.update === undefined || state.update === state.value) continue;
    const operation = maker.get(state.update);
    const output = operation?.outputs.indexOf(state.update);
    const inPlace = operation?.definition.inPlace?.some(
      ([out, input]) =>
        out === output &&
        operation.inputs[input] === state.value &&
        // Another argument that lies in the same memory would change while it is read.
        operation.inputs.every((id, i) => i === input || ownerOf(aliases, id) !== state.value),
    );
    if (!inPlace || aliases.has(state.update)) {
      throw new UsageError(
        `state '${name}' of program ${step.name} cannot be updated where it lies: its new value ` +
          `comes from ${operation ? operation.definition.name : 'a declared value'}, which does not ` +
          'write over the old one; update it with an operation that takes the state and gives it anew',
      );
    }
    aliases.set(state.update, state.value);
  }
  return aliases;
}

/** The value whose memory a value lies in: itself, unless it is an alias. */
function ownerOf(aliases: ReadonlyMap<number, number>, id: number): number {
  let at = id;
  for (let next = aliases.get(at); next !== undefined; next = aliases.get(at)) at = next;
  return at;
}

/**
 * The same program with every operation that reads a state's old value before the one that writes
 * the new value over it. The order is otherwise kept.
 */
function orderStateReaders(program: Program): Program {
  const { operations } = program;
  const makerOf = new Map<number, number>();
  operations.forEach((operation, index) => {
    for (const id of operation.outputs) makerOf.set(id, index);
  });
  const before: Set<number>[] = operations.map(
    (operation) =>
      new Set(operation.inputs.flatMap((id) => (makerOf.has(id) ? [makerOf.get(id)!] : []))),
  );
  for (const state of program.states.values()) {
    const writer = state.update === undefined ? undefined : makerOf.get(state.update);
    if (writer === undefined) continue;
    const old = new Set([state.value]);
    operations.forEach((operation, index) => {
      if (!operation.inputs.some((id) => old.has(id))) return;
      if (operation.definition.view) operation.outputs.forEach((id) => old.add(id));
      if (index !== writer) before[writer]!.add(index);
    });
  }
  const order: number[] = [];
  const mark = new Map<number, 'begun' | 'done'>();
  const emit = (index: number): void => {
    if (mark.get(index) === 'done') return;
    if (mark.get(index) === 'begun') {
      const stuck = operations[index]!;
      throw new UsageError(
        `${stuck.definition.name} in program ${program.name} reads a state's old value and needs ` +
          'its new one too; keep a copy of the old value or read only one of them',
      );
    }
    mark.set(index, 'begun');
    for (const other of before[index]!) emit(other);
    mark.set(index, 'done');
    order.push(index);
  };
  operations.forEach((_, index) => emit(index));
  return { ...program, operations: order.map((index) => operations[index]!) };
}

/** Gives every computed value that has no place yet its memory, by the table's policy. */
function placeIntermediates(
  step: Program,
  table: KernelTable,
  root: (id: number) => number,
  places: Map<number, Place>,
  addBuffer: (buffer: PlanBuffer) => number,
): void {
  const align = (bytes: number): number =>
    Math.ceil(bytes / table.memory.alignment) * table.memory.alignment;
  const lifetimes = new Map<number, Lifetime>();
  step.operations.forEach((operation, at) => {
    for (const id of [...operation.inputs, ...operation.outputs]) {
      const owner = root(id);
      if (places.has(owner)) continue;
      const known = lifetimes.get(owner);
      const byteLength = align(table.memory.byteLength(step.values[owner]!.spec));
      lifetimes.set(owner, { first: known?.first ?? at, last: at, byteLength });
    }
  });
  if (!table.memory.arena) {
    for (const [id, { byteLength }] of lifetimes) {
      places.set(id, { buffer: addBuffer({ kind: 'intermediate', byteLength }), byteOffset: 0 });
    }
    return;
  }
  const { offsets, byteLength } = placeInArena([...lifetimes.values()]);
  const buffer = addBuffer({ kind: 'intermediate', byteLength });
  [...lifetimes.keys()].forEach((id, index) => {
    places.set(id, { buffer, byteOffset: offsets[index]! });
  });
}

function slotsOf(
  step: Program,
  kind: 'input' | 'state',
  useOf: (id: number, access: BufferUse['access']) => BufferUse,
): ReadonlyMap<string, PlanSlot> {
  const slots = new Map<string, PlanSlot>();
  step.values.forEach((info, id) => {
    if (info.kind !== kind) return;
    const access = kind === 'state' ? 'readwrite' : 'read';
    slots.set(info.name!, { spec: info.spec, use: useOf(id, access) });
  });
  return slots;
}

function parameterSlots(
  step: Program,
  table: KernelTable,
  useOf: (id: number, access: BufferUse['access']) => BufferUse,
): ReadonlyMap<string, PlanSlot & { readonly layout: string }> {
  const layouts = new Map<number, string>();
  for (const operation of step.operations) {
    operation.inputs.forEach((id, argument) => {
      const info = step.values[id]!;
      if (info.kind !== 'parameter') return;
      const layout = table.parameterLayout(operation.definition, argument, info.spec);
      const known = layouts.get(id);
      if (known !== undefined && known !== layout) {
        throw new ShapeError(
          `parameter '${info.name}' of program ${step.name} is wanted as ${known} and as ${layout} ` +
            `by ${operation.definition.name}; use it in one way, or declare it under two names`,
        );
      }
      layouts.set(id, layout);
    });
  }
  const slots = new Map<string, PlanSlot & { readonly layout: string }>();
  for (const [id, layout] of layouts) {
    const info = step.values[id]!;
    slots.set(info.name!, { spec: info.spec, use: useOf(id, 'read'), layout });
  }
  return slots;
}
