import { convert, firstNotFinite } from './convert.ts';
import type { Device, DeviceTensor } from './device.ts';
import { dtypeName, isFloating, isPacked, sameDType, viewBytes, type HostArray } from './dtype.ts';
import { FormatError, UsageError } from './errors.ts';
import { evaluateOnHost, runsOnHost } from './evaluate-on-host.ts';
import type { KernelTable } from './kernel-table.ts';
import { packedPlanes, unpack, type PackedSpec } from './packed.ts';
import { plan } from './plan.ts';
import { declared, type Program } from './program.ts';
import { byteLength, formatSpec, sameSpec, type Shape, type TensorSpec } from './spec.ts';
import type { WeightSource } from './weight-source.ts';

/** How far loading is. */
export interface LoadProgress {
  /** Bytes of parameters that are on the device. */
  readonly loadedBytes: number;
  /** Bytes of all parameters, on the device. */
  readonly totalBytes: number;
  /** The parameter that was loaded last. */
  readonly name: string;
}

/** The parameters of a model on a device. */
export interface Parameters {
  readonly tensors: ReadonlyMap<string, DeviceTensor>;
  /** Bytes they take on the device, shared ones not among them. */
  readonly byteLength: number;
  /** Gives them back. Idempotent. */
  dispose(): void;
}

export interface LoadOptions {
  /** Parameters that lie on the device already: they are taken as they are, and `dispose` leaves them. */
  readonly shared?: ReadonlyMap<string, DeviceTensor> | undefined;
  readonly progress?: ((progress: LoadProgress) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Loads what the steps of `programs` take as parameters: reads one tensor, converts it to the dtype
 * the programs ask for, writes it to the device, forgets it. Values that depend on parameters alone
 * are computed here, once. No step holds more than one parameter and what it is made from.
 *
 * @throws FormatError when the source lacks a tensor, has it in another shape or as integers, or
 * holds a number that is not finite in the dtype asked for; UsageError when the programs disagree;
 * AbortError when the signal asks. What was loaded until then is given back.
 */
export async function loadParameters(
  device: Device,
  programs: readonly Program[],
  source: WeightSource,
  options: LoadOptions = {},
): Promise<Parameters> {
  const shared = new Map<string, DeviceTensor>();
  const wanted = new Map(collect(device, programs));
  for (const [name, tensor] of options.shared ?? []) {
    if (wanted.delete(name)) shared.set(name, tensor);
  }
  checkSource(programs, source);
  const bytesOf = ({ spec }: { spec: TensorSpec }): number =>
    device.kernels.memory.byteLength(spec);
  const totalBytes = [...wanted.values()].reduce((sum, one) => sum + bytesOf(one), 0);
  const tensors = new Map<string, DeviceTensor>();
  const read: ReadElements = (name, spec) => readElements(source, name, spec, options.signal);
  const readLarge = keepingLast(read);
  let loadedBytes = 0;
  const dispose = (): void => {
    for (const tensor of tensors.values()) tensor.dispose();
  };
  try {
    // The largest first: what they are made from then lies beside little else.
    const largestFirst = [...wanted].toSorted(([, a], [, b]) => bytesOf(b) - bytesOf(a));
    for (const [name, { spec, layout, derived }] of largestFirst) {
      options.signal?.throwIfAborted();
      const data = derived
        ? await derive(device, derived, read, readLarge)
        : await read(name, spec);
      const tensor = device.allocate(spec, { layout, label: name });
      tensors.set(name, tensor);
      device.write(tensor, data);
      loadedBytes += bytesOf(tensor);
      options.progress?.({ loadedBytes, totalBytes, name });
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return { tensors: new Map([...shared, ...tensors]), byteLength: totalBytes, dispose };
}

/** Reads a parameter in the dtype of its spec. */
type ReadElements = (name: string, spec: TensorSpec) => Promise<HostArray>;

/** The same, but what was read last is there still: the parts of a large one follow each other. */
function keepingLast(read: ReadElements): ReadElements {
  let last:
    { readonly name: string; readonly spec: TensorSpec; readonly data: HostArray } | undefined;
  return async (name, spec) => {
    if (last?.name === name && sameSpec(last.spec, spec)) return last.data;
    last = undefined;
    const data = await read(name, spec);
    last = { name, spec, data };
    return data;
  };
}

interface Wanted {
  readonly spec: TensorSpec;
  readonly layout: string;
  /** The program that makes it, for load-time values. */
  readonly derived: Program | undefined;
}

/** Every parameter the programs' steps take, with the layout that the device wants. */
function collect(device: Device, programs: readonly Program[]): ReadonlyMap<string, Wanted> {
  const wanted = new Map<string, Wanted>();
  const declaredAs = new Map<string, TensorSpec>();
  for (const program of programs) {
    const differ = (name: string, known: string, found: string): UsageError =>
      new UsageError(
        `parameter '${name}' is ${known} in one program and ${found} in program ${program.name}; ` +
          'programs that share parameters must declare them alike',
      );
    for (const [name, spec] of declared(program, 'parameter')) {
      const known = declaredAs.get(name) ?? spec;
      if (!sameSpec(known, spec)) throw differ(name, formatSpec(known), formatSpec(spec));
      declaredAs.set(name, spec);
    }
    const { parameters, derived } = plan(program, device.kernels);
    for (const [name, { spec, layout }] of parameters) {
      const known = wanted.get(name);
      if (known && known.layout !== layout) throw differ(name, known.layout, layout);
      wanted.set(name, known ?? { spec, layout, derived: derived.get(name) });
    }
  }
  return wanted;
}

/** Checks every tensor the programs name against the source before any byte is read. */
function checkSource(programs: readonly Program[], source: WeightSource): void {
  for (const program of programs) {
    for (const [name, spec] of declared(program, 'parameter')) {
      const entry = source.tensors.get(name);
      if (!entry) {
        throw new FormatError(
          `${source.label} has no tensor '${name}', which program ${program.name} needs as ` +
            `${formatSpec(spec)}; is the file complete, and of this model family?`,
        );
      }
      if (!sameButOnes(entry.shape, spec.shape)) {
        throw new FormatError(
          `tensor '${name}' of ${source.label} is ${formatSpec(entry)}; the model's other tensors ` +
            `ask for [${spec.shape.join(', ')}]; the file is damaged or of another architecture`,
        );
      }
      if (isFloating(entry.dtype) !== isFloating(spec.dtype)) {
        throw new FormatError(
          `tensor '${name}' of ${source.label} is ${formatSpec(entry)} and program ${program.name} ` +
            `needs it as ${formatSpec(spec)}; the file is damaged or of another architecture`,
        );
      }
    }
  }
}

/** Checkpoints write a vector of C as [C] or as [1, 1, C]; axes of size one do not count. */
function sameButOnes(a: Shape, b: Shape): boolean {
  const bare = (shape: Shape): string => shape.filter((size) => size !== 1).join(',');
  return bare(a) === bare(b);
}

async function readElements(
  source: WeightSource,
  name: string,
  spec: TensorSpec,
  signal: AbortSignal | undefined,
): Promise<HostArray> {
  const entry = source.tensors.get(name)!;
  if (isPacked(spec.dtype) && !sameDType(entry.dtype, spec.dtype)) {
    throw new UsageError(
      `tensor '${name}' of ${source.label} is ${dtypeName(entry.dtype)} and cannot be loaded as ` +
        `${dtypeName(spec.dtype)}; pack the weights first`,
    );
  }
  const bytes = await source.read(name, { signal });
  if (bytes.byteLength !== byteLength(entry)) {
    throw new FormatError(
      `tensor '${name}' of ${source.label} gave ${bytes.byteLength} bytes; ${formatSpec(entry)} ` +
        `takes ${byteLength(entry)}; the source is damaged`,
    );
  }
  if (isPacked(entry.dtype)) {
    const packed = { dtype: entry.dtype, shape: entry.shape };
    checkScales(packed, bytes, name, source.label);
    return isPacked(spec.dtype) ? bytes : convert(unpack(packed, bytes), 'f32', spec.dtype);
  }
  if (isPacked(spec.dtype)) throw new Error('packed from plain was refused above');
  const data = viewBytes(entry.dtype, bytes);
  const bad = firstNotFinite(data, entry.dtype);
  if (bad >= 0) {
    throw new FormatError(
      `element ${bad} of tensor '${name}' of ${source.label} is not a finite number; ` +
        'the checkpoint is damaged or its training diverged: use another one',
    );
  }
  const converted = convert(data, entry.dtype, spec.dtype);
  const tooLarge = converted === data ? -1 : firstNotFinite(converted, spec.dtype);
  if (tooLarge >= 0) {
    throw new FormatError(
      `element ${tooLarge} of tensor '${name}' of ${source.label} is ${entry.dtype} and too large ` +
        `for ${spec.dtype}; load it as it is`,
    );
  }
  return converted;
}

function checkScales(spec: PackedSpec, bytes: Uint8Array, name: string, label: string): void {
  const [, { data }] = packedPlanes(spec, bytes);
  const bad = firstNotFinite(data, spec.dtype.scale);
  if (bad < 0) return;
  throw new FormatError(
    `scale ${bad} of tensor '${name}' of ${label} is not a finite number; ` +
      'the file is damaged: convert or download it again',
  );
}

/**
 * Computes one load-time value on the device and brings it back as host elements; on the host where its elements
 * only get another shape, and where it is made from more than the device's kernels can see.
 */
async function derive(
  device: Device,
  program: Program,
  read: ReadElements,
  readLarge: ReadElements,
): Promise<HostArray> {
  const parameters = declared(program, 'parameter');
  const { byteLength: bytesOf, largestBinding } = device.kernels.memory;
  const isLarge = [...parameters.values()].some((spec) => bytesOf(spec) > largestBinding);
  const isView = program.operations.every(({ definition }) => definition.view);
  if (isView || (isLarge && runsOnHost(program))) {
    const elements = new Map<string, HostArray>();
    const take = isView ? read : readLarge;
    for (const [name, spec] of parameters) elements.set(name, await take(name, spec));
    return evaluateOnHost(program, elements);
  }
  const tensors = new Map<string, DeviceTensor>();
  try {
    for (const [name, spec] of parameters) {
      const data = await read(name, spec);
      const tensor = device.allocate(spec, { label: name });
      tensors.set(name, tensor);
      device.write(tensor, data);
    }
    // Its parameters are what it computes with: nothing of it may be taken out to load time again.
    const asInputs = parametersAsStates(program);
    const executable = await device.compile(asInputs, { states: tensors });
    try {
      executable.run({});
      return (await executable.read('value')).value;
    } finally {
      executable.dispose();
    }
  } finally {
    for (const tensor of tensors.values()) tensor.dispose();
  }
}

/** The program with its parameters read as states, which planning does not fold away. */
function parametersAsStates(program: Program): Program {
  const states = new Map(program.states);
  const values = program.values.map((info, id) => {
    if (info.kind !== 'parameter' || info.name === undefined) return info;
    states.set(info.name, { value: id, fill: 0 });
    return { ...info, kind: 'state' as const };
  });
  return { ...program, values, states };
}

/** Bytes of the parameters that the steps of `programs` take on a device, without loading anything. */
export function parameterBytes(programs: readonly Program[], table: KernelTable): number {
  const specs = new Map<string, TensorSpec>();
  for (const program of programs) {
    for (const [name, slot] of plan(program, table).parameters) specs.set(name, slot.spec);
  }
  return [...specs.values()].reduce((sum, spec) => sum + table.memory.byteLength(spec), 0);
}
