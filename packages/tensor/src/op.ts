import { apply, Value } from './record.ts';
import type { HostArray } from './dtype.ts';
import type { Shape, TensorSpec } from './spec.ts';

/** Settings of an operation that are known when it is recorded: plain data, no tensors. */
export type Attributes = Readonly<
  Record<string, number | string | boolean | readonly number[] | undefined>
>;

/** Bytes moved and arithmetic operations done by one run of an operation. */
export interface Cost {
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly operations: number;
}

/** A tensor in host memory, row-major. 16-bit floats are the bits of their elements. */
export interface HostTensor extends TensorSpec {
  readonly data: HostArray;
}

/** What an operation's reference loops get: read `inputs`, write every element of `outputs`. */
export interface ReferenceCall<A extends Attributes = Attributes> {
  readonly inputs: readonly HostTensor[];
  readonly outputs: readonly HostTensor[];
  readonly attributes: A;
}

/** One recorded operation and what flows back into it. */
export interface GradientCall<A extends Attributes = Attributes> {
  readonly inputs: readonly Value[];
  readonly outputs: readonly Value[];
  readonly attributes: A;
  /** The gradient of each output, f32 of its shape; undefined where nothing flows. At least one flows. */
  readonly cotangents: readonly (Value | undefined)[];
}

/** An operation in parts; see {@link OpDefinition.byRows}. */
export interface ByRows<A extends Attributes = Attributes> {
  /** The argument that comes in parts. */
  readonly argument: number;
  /** Builds the result from slices of the argument; the parts are all its rows, one after another. */
  build(inputs: readonly Value[], parts: readonly RowPart[], attributes: A): readonly Value[];
}

/** Rows of a matrix from `start` to `end`, which is not included. */
export interface RowPart {
  readonly start: number;
  readonly end: number;
}

/**
 * What an operation is: its name, shape rule and reference loops. A program's operations hold their
 * definition, so there is no registry and a bundle keeps only what its models use.
 */
export interface OpDefinition<A extends Attributes = Attributes> {
  readonly name: string;
  /**
   * What errors call the arguments, in order; the last name serves all further ones. One that may be
   * left out, at the end, is written with a question mark: `delta?`.
   */
  readonly arguments: readonly string[];
  /**
   * The shape rule: specs of the outputs from those of the inputs.
   *
   * @throws ShapeError, through the `fail` it is given, when the inputs do not fit.
   */
  infer(
    inputs: readonly TensorSpec[],
    attributes: A,
    fail: (expected: string) => never,
  ): readonly TensorSpec[];
  /**
   * Plain loops that define the result. Sums run in double precision, results are stored rounded.
   * Composites have none: their lowering defines them.
   */
  reference?(call: ReferenceCall<A>): void;
  /**
   * Builds the result from smaller operations. An operation that has it is a composite: a device with
   * a kernel for it runs it whole, any other gets what is recorded here, unasked.
   */
  lower?(inputs: readonly Value[], attributes: A): readonly Value[];
  /**
   * How it is built from parts of the rows of one argument, for a device that cannot bind that whole. The
   * results are those of the whole, bit for bit, where a kernel treats a row alike whatever is beside it.
   */
  readonly byRows?: ByRows<A>;
  /**
   * Records the gradient of each input, f32 of its shape, from those of the outputs; undefined where
   * none flows, as to indexes. What nobody asked for is dropped afterwards, so it may record all.
   */
  gradient?(call: GradientCall<A>): readonly (Value | undefined)[];
  /**
   * Pairs [output, input]: the output may take the place of that input, element for element. It is
   * how a state is updated where it lies.
   */
  readonly inPlace?: readonly (readonly [output: number, input: number])[];
  /** True when the output is the input's bytes under another shape: no work, no memory. */
  readonly view?: boolean;
  /** Bytes that one run reads; those of all inputs when it is not given. */
  bytesRead?(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[], attributes: A): number;
  /** Arithmetic operations of one run; one for each output element when it is not given. */
  operations?(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[], attributes: A): number;
}

type AttributesOf<Parameters extends readonly unknown[]> = Parameters extends readonly [
  ...unknown[],
  infer Last,
]
  ? Last extends Value | readonly Value[]
    ? Record<never, never>
    : Last extends Attributes
      ? Last
      : Record<never, never>
  : Record<never, never>;

type Recording = (...args: never[]) => Value | readonly Value[];

/** An operation: call it with values to record it; its definition is on it. */
export type Op<Signature extends Recording> = Signature & {
  readonly definition: OpDefinition;
};

/**
 * Defines an operation. The result is the function that records it: values first (one array where
 * there may be any number, or where the last may be left out), attributes last.
 *
 * ```ts
 * export const linear = defineOp<(x: Value, weight: Value) => Value>({ name: 'linear', … });
 * ```
 */
export function defineOp<Signature extends Recording>(
  definition: OpDefinition<AttributesOf<Parameters<Signature>> & Attributes>,
): Op<Signature> {
  const general = definition as unknown as OpDefinition;
  const recordCall = (...args: readonly unknown[]): Value | readonly Value[] => {
    const last = args.at(-1);
    const hasAttributes =
      typeof last === 'object' && last !== null && !(last instanceof Value) && !Array.isArray(last);
    const given = (hasAttributes ? args.slice(0, -1) : args).flat() as (Value | undefined)[];
    const values = given.filter((value) => value !== undefined);
    const outputs = apply(general, values, hasAttributes ? (last as Attributes) : {});
    return outputs.length === 1 ? outputs[0]! : outputs;
  };
  return Object.assign(recordCall as unknown as Signature, { definition: general });
}

/** The size of an axis, negative axes counted from the last. */
export function sizeAt(shape: Shape, axis: number): number {
  return shape[axis < 0 ? shape.length + axis : axis] ?? 1;
}
