import { byteLength, type Cost, type OperationView, type TensorSpec } from '@rwkv-js/tensor';
import type { Argument } from './argument.ts';

/** Work groups along x, y, z. */
export type Grid = readonly [x: number, y: number, z: number];

/** What the adapter offers beyond the least that WebGPU promises; kernels are generated for it. */
export interface Capabilities {
  /** `subgroupAdd` and its kin; any width from 4 to 128. */
  readonly subgroups: boolean;
  /** Lanes of the narrowest subgroup; 0 without subgroups. */
  readonly narrowestSubgroup: number;
  /** `dot4I8Packed`: the product of four whole numbers of 8 bits with four others in one step. */
  readonly integerDot: boolean;
  /** Matrices of 16 × 16 halves that subgroups of 32 multiply, with sums in f32. */
  readonly subgroupMatrices: boolean;
  /** Most threads in a work group. */
  readonly threads: number;
  /** Bytes of memory that a work group shares. */
  readonly workgroupMemory: number;
  /** Most buffers that one kernel can bind. */
  readonly bindings: number;
  /** Bytes that one binding can see. */
  readonly largestBinding: number;
}

/** The arguments of an operation as the text of a shader speaks of them. */
export interface ShaderArguments {
  readonly inputs: readonly Argument[];
  readonly outputs: readonly Argument[];
  /** The name of the working memory, `array<f32>`; there where the kernel asks for it. */
  readonly scratch: string;
}

/** One dispatch of a kernel. */
export interface Pass {
  readonly grid: Grid;
  /** Threads of a work group, all along x. */
  readonly threads: number;
  /** Module-scope declarations and the body of `main`. */
  readonly source: (args: ShaderArguments) => ShaderText;
  /** WGSL types of the arrays that arguments are bound as, by place (inputs, then outputs). */
  readonly types?: Readonly<Record<number, string>>;
  /** What it touches, where a kernel of several passes would bind more than adapters do: all otherwise. */
  readonly uses?: PassUses;
}

/** What a pass of several touches. */
interface PassUses {
  /** Places of arguments (inputs, then outputs). */
  readonly arguments: readonly number[];
  /** The WGSL type of the working memory's elements; undefined where the pass has no use for it. */
  readonly scratch: 'f32' | 'vec4<f32>' | undefined;
}

/** The text of one shader, but for what the device adds: bindings and the entry point. */
export interface ShaderText {
  /** Functions, constants, work group memory. */
  readonly module?: string;
  /**
   * Statements of the entry point. It has `group: vec3<u32>` (work group), `thread: u32` (place in
   * the work group), and where the kernel uses subgroups `lane` and `lanes`; with their matrices `lane` and
   * `subgroup`, the place of the subgroup in the work group.
   */
  readonly main: string;
  readonly subgroups?: boolean;
  readonly subgroupMatrices?: boolean;
}

/** How an operation runs: one dispatch, or several that follow each other. */
export interface Kernel {
  readonly passes: readonly Pass[];
  /** Bytes of working memory, for what one pass leaves to the next. */
  readonly scratchBytes?: number;
  /** Where it differs from reading every input and writing every output once. */
  readonly cost?: Partial<Cost>;
  /** What is moved besides: tiles that are read again, and the working memory. */
  readonly again?: Pick<Cost, 'bytesRead' | 'bytesWritten'>;
}

/** Gives the kernel for an operation, or undefined for what it does not take. */
export type KernelMaker = (
  operation: OperationView,
  capabilities: Capabilities,
) => Kernel | undefined;

/** Bytes that a tensor is bound with: whole vectors of four. */
export function boundBytes(spec: TensorSpec): number {
  return Math.max(16, Math.ceil(byteLength(spec) / 16) * 16);
}
