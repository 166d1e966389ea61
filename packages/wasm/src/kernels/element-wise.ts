import { elementCount, sameShape, sizeAt, type Shape, type TensorSpec } from '@rwkv-js/tensor';
import type { Launcher } from '../kernels.ts';

/** The operations of the kernel `unary`, by the numbers that assembly/element-wise.ts gives them. */
const unary = ['negate', 'exp', 'tanh', 'sigmoid', 'silu', 'relu', 'square', 'scale'];
const binary = ['add', 'subtract', 'multiply'];

const each: Launcher = ({ definition, attributes, inputs, outputs }) => {
  if (!allF32(inputs)) return undefined;
  const count = elementCount(outputs[0]!.shape);
  const { factor = 0 } = attributes as { factor?: number };
  return { kernel: 'unary', scalars: [count, unary.indexOf(definition.name), factor] };
};

const pair: Launcher = ({ definition, inputs, outputs }) => {
  if (!allF32(inputs)) return undefined;
  const rows = rowsOf(
    outputs[0]!.shape,
    inputs.map(({ shape }) => shape),
  );
  if (!rows) return undefined;
  const which = binary.indexOf(definition.name);
  return { kernel: 'binary', scalars: [rows.count, rows.inner, which, ...rows.kinds] };
};

const lerp: Launcher = ({ inputs, outputs }) => {
  if (!allF32(inputs)) return undefined;
  const rows = rowsOf(outputs[0]!.shape, [inputs[2]!.shape]);
  return rows && { kernel: 'lerp', scalars: [rows.count, rows.inner, ...rows.kinds] };
};

export const launchElementWise: Readonly<Record<string, Launcher>> = {
  ...Object.fromEntries(unary.map((name) => [name, each])),
  ...Object.fromEntries(binary.map((name) => [name, pair])),
  lerp,
};

export function allF32(specs: readonly TensorSpec[]): boolean {
  return specs.every(({ dtype }) => dtype === 'f32');
}

/** A result as rows, and how each operand repeats over them: not (0), each row the same (1), each row one number (2). */
interface Rows {
  readonly count: number;
  readonly inner: number;
  readonly kinds: readonly number[];
}

/** Cuts a result into rows such that every operand repeats in one of these ways; undefined where none does. */
function rowsOf(result: Shape, operands: readonly Shape[]): Rows | undefined {
  const total = elementCount(result);
  if (total === 0) return undefined;
  // The longest run of last axes that an operand has whole is a row, if it repeats along all others.
  const inners = operands.map((shape) => innerOf(result, shape));
  if (inners.some((inner) => inner === undefined)) return undefined;
  const inner = Math.min(total, ...inners.map((one) => one!.size));
  const kinds = inners.map((one) => {
    if (one!.kind === 0) return 0;
    return one!.size === inner ? one!.kind : undefined;
  });
  if (kinds.some((kind) => kind === undefined)) return undefined;
  return { count: total / inner, inner, kinds: kinds as number[] };
}

function innerOf(result: Shape, operand: Shape): { kind: number; size: number } | undefined {
  const total = elementCount(result);
  const count = elementCount(operand);
  if (count === total) return { kind: 0, size: total };
  const padded = [...result.keys()].map((axis) => sizeAt(operand, axis - result.length));
  const firstWhole = padded.findIndex((size, axis) => size !== 1 || result[axis] === 1);
  // One number for each row: all axes but the last.
  const last = result.length - 1;
  if (padded[last] === 1 && sameShape(padded.slice(0, last), result.slice(0, last)) && last > 0) {
    return { kind: 2, size: result[last]! };
  }
  // The same row again and again: leading axes of size one.
  const tail = firstWhole < 0 ? result.length : padded.findIndex((size) => size !== 1);
  if (tail >= 0 && sameShape(padded.slice(tail), result.slice(tail))) {
    return { kind: 1, size: count };
  }
  return undefined;
}
