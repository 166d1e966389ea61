import type { Attributes, Cost, OpDefinition } from './op.ts';
import { viewOf } from './program.ts';
import { record } from './record.ts';
import { byteLength, elementCount, type TensorSpec } from './spec.ts';

/** One operation as a kernel table sees it. */
export interface OperationView {
  readonly definition: OpDefinition;
  readonly attributes: Attributes;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly TensorSpec[];
  /**
   * Which inputs are parameters, or made of parameters alone at load, and so lie in the layout that
   * `parameterLayout` gives. All others are row-major: weights that are trained are states.
   */
  readonly isParameter: readonly boolean[];
}

/** How a device runs one operation: plain data that its queue understands. */
export interface KernelLaunch {
  /** The kernel's name in the device. */
  readonly kernel: string;
  /** Work groups along x, y, z; [1, 1, 1] where the device has no such thing. */
  readonly grid: readonly [number, number, number];
  /** Numbers that the kernel gets besides its buffers. */
  readonly scalars: readonly number[];
  /** Bytes of working memory that the kernel needs while it runs. */
  readonly scratchBytes: number;
  /** What one run moves and computes, re-reads of tiles counted. */
  readonly cost: Cost;
}

/** How a device wants its memory laid out. */
export interface MemoryPolicy {
  /** One arena that all intermediate values share by offset, or a buffer for each. */
  readonly arena: boolean;
  /** Offsets and lengths are multiples of this, in bytes. */
  readonly alignment: number;
  /** Largest number of bytes that one kernel argument can see. */
  readonly largestBinding: number;
  /** Most buffers that one kernel can take. */
  readonly bindings: number;
  /** Bytes that a tensor takes on the device; a device may widen what the spec says. */
  byteLength(spec: TensorSpec): number;
}

/**
 * What a device can do, as data and pure functions: `plan` needs nothing else, so a plan can be made
 * for a device that is not there.
 */
export interface KernelTable {
  /** The device's name in listings and errors. */
  readonly name: string;
  readonly memory: MemoryPolicy;
  /** Token counts that models record step programs for, ascending. The last is the largest chunk. */
  readonly tokenBuckets: readonly number[];
  /**
   * What products with packed weights take: `q8` where integers are faster, and models record `quantize`
   * before them; `f32` where the weights alone cost time. Which one is part of the program, so the same
   * program gives the same numbers on every device.
   */
  readonly activations: 'f32' | 'q8';
  /**
   * Most steps that a model queues while it writes before it reads back what was drawn, from 1. More
   * keep a device busy whose readbacks take long; what is written arrives in larger pieces, and each
   * slot has a second copy of its state to go back to.
   */
  readonly stepsPerReadback: number;
  /** How the device runs an operation, or undefined when it cannot. */
  launch(operation: OperationView): KernelLaunch | undefined;
  /**
   * The layout that an operation wants a parameter in, by name; `row-major` is the plain one. It
   * depends on the operation, the argument, dtype and shape, never on the number of tokens, so all
   * programs of a model share one upload.
   */
  parameterLayout(definition: OpDefinition, argument: number, spec: TensorSpec): string;
}

/**
 * The launch of a kernel named like its operation that reads every input and writes every output once:
 * for devices without grids, and for counting.
 */
export function plainLaunch({
  definition,
  attributes,
  inputs,
  outputs,
}: Omit<OperationView, 'isParameter'>): KernelLaunch {
  const bytes = (specs: readonly TensorSpec[]): number =>
    specs.reduce((total, spec) => total + byteLength(spec), 0);
  return {
    kernel: definition.name,
    grid: [1, 1, 1],
    scalars: [],
    scratchBytes: 0,
    cost: {
      bytesRead: definition.bytesRead?.(inputs, outputs, attributes) ?? bytes(inputs),
      bytesWritten: bytes(outputs),
      operations: operationsOf({ definition, attributes, inputs, outputs }),
    },
  };
}

/** Arithmetic operations of one run: what the definition says, or the sum over a composite's lowering. */
function operationsOf({
  definition,
  attributes,
  inputs,
  outputs,
}: Omit<OperationView, 'isParameter'>): number {
  if (definition.operations) return definition.operations(inputs, outputs, attributes);
  if (!definition.lower) {
    return outputs.reduce((total, { shape }) => total + elementCount(shape), 0);
  }
  const lowering = record(definition.name, (recorder) => {
    const values = inputs.map((spec, i) => recorder.input(String(i), spec));
    const results = definition.lower!(values, attributes);
    return Object.fromEntries(results.map((value, i) => [String(i), value]));
  });
  return lowering.operations.reduce(
    (total, operation) => total + operationsOf(viewOf(lowering, operation, new Set())),
    0,
  );
}
