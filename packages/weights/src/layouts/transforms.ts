import {
  convert,
  isPacked,
  viewBytes,
  type HostArray,
  type PlainDType,
  type Shape,
} from '@rwkv-js/tensor';
import type { ReadOptions } from '../byte-source.ts';
import type { StoredTensor } from '../container.ts';
import { elementType, safeElementCount } from '../element-type.ts';

/** A change of one tensor's shape and elements. */
export interface Transform {
  /** Completes "…, and the layout has …": which tensors it takes. */
  readonly takes: string;
  /** The shape afterwards; undefined for a shape that it does not take. */
  shape(shape: Shape): Shape | undefined;
  /** The elements afterwards, of `dtype` or of f32 where `toF32`; left out where they stay as they are. */
  readonly elements?: (data: HostArray, shape: Shape, dtype: PlainDType) => HostArray;
  readonly toF32?: true;
}

/** A tensor after a transform, turned when it is read; undefined where the transform does not take it. */
export function transformed(tensor: StoredTensor, transform: Transform): StoredTensor | undefined {
  const shape = transform.shape(tensor.shape);
  if (!shape) return undefined;
  const { elements, toF32 } = transform;
  const { dtype } = tensor.type;
  // Elements of no dtype cannot be read in any shape: reading says so.
  if (!elements || !dtype) {
    return { type: tensor.type, shape, read: (options) => tensor.read(options) };
  }
  // Packed blocks are in official form, or cannot be turned.
  if (isPacked(dtype)) return undefined;
  return {
    type: elementType((toF32 ? 'f32' : dtype).toUpperCase()),
    shape,
    async read(options: ReadOptions) {
      const data = viewBytes(dtype, await tensor.read(options));
      const turned = elements(data, tensor.shape, dtype);
      return new Uint8Array(turned.buffer as ArrayBuffer, turned.byteOffset, turned.byteLength);
    },
  };
}

/** The last two axes swapped. */
export const transpose: Transform = {
  takes: 'a matrix or a stack of them',
  shape: (shape) =>
    shape.length < 2 ? undefined : [...shape.slice(0, -2), shape.at(-1)!, shape.at(-2)!],
  elements(data, shape) {
    const [rows, columns] = shape.slice(-2);
    const result = data.slice();
    const size = rows * columns;
    for (let start = 0; start < data.length; start += size) {
      for (let row = 0; row < rows; row++) {
        for (let column = 0; column < columns; column++) {
          result[start + column * rows + row] = data[start + row * columns + column];
        }
      }
    }
    return result;
  },
};

/** The same elements as one axis. */
export const flatten: Transform = {
  takes: 'any shape',
  shape: (shape) => [count(shape)],
};

/** The same elements as a matrix with rows of `columns`. */
export function rowsOf(columns: number): Transform {
  return {
    takes: `a multiple of ${columns} elements`,
    shape: (shape) =>
      count(shape) % columns === 0 ? [count(shape) / columns, columns] : undefined,
  };
}

/** A stack of `depth` matrices from one of their rows, one matrix after another. */
export function stackOf(depth: number): Transform {
  return {
    takes: `a matrix with a multiple of ${depth} rows`,
    shape: ([rows, columns, ...rest]) =>
      columns === undefined || rest.length > 0 || rows % depth !== 0
        ? undefined
        : [depth, rows / depth, columns],
  };
}

/** Row `index` of `rows` equal parts of the elements. */
export function part(index: number, rows: number): Transform {
  return {
    takes: `${rows} rows of one size`,
    shape: (shape) =>
      shape.find((size) => size !== 1) === rows ? [count(shape) / rows] : undefined,
    elements: (data) => data.slice(...range(index, data.length / rows)),
  };
}

/** Blocks of rows in another order: part `i` of the result is what was part `order[i]`. */
export function reorder(order: readonly number[]): Transform {
  return {
    takes: `a matrix with a multiple of ${order.length} rows`,
    shape: (shape) => (shape.length === 2 && shape[0] % order.length === 0 ? shape : undefined),
    elements(data) {
      const result = data.slice();
      const size = data.length / order.length;
      order.forEach((from, to) => result.set(data.subarray(...range(from, size)), to * size));
      return result;
    },
  };
}

/** One transform after another. */
export function inTurn(...transforms: readonly Transform[]): Transform {
  return {
    takes: transforms[0].takes,
    shape: (shape) => transforms.reduce<Shape | undefined>((s, t) => s && t.shape(s), shape),
    elements(data, shape, dtype) {
      let [now, at] = [data, shape];
      for (const transform of transforms) {
        now = transform.elements?.(now, at, dtype) ?? now;
        at = transform.shape(at) ?? at;
      }
      return now;
    },
  };
}

/** Every element by a function, in f32. */
function byElement(of: (value: number) => number): Transform {
  return {
    takes: 'any shape',
    shape: (shape) => shape,
    toF32: true,
    elements: (data, _shape, dtype) => Float32Array.from(convert(data, dtype, 'f32'), of),
  };
}

/**
 * x from −exp(x), as rwkv.cpp keeps RWKV-4's decay. Where exp has left what f32 holds, x is taken as far
 * out as f32 goes.
 */
export const undoNegativeExp: Transform = byElement((decay) =>
  Math.min(Math.max(Math.log(-decay), -104), 88),
);

/**
 * x from exp(−exp(x)), as rwkv.cpp keeps RWKV-5's decay. Where it is 0 or 1 in f32, x is taken so far
 * out that it is so again.
 */
export const undoExpNegativeExp: Transform = byElement((decay) =>
  Math.min(Math.max(Math.log(-Math.log(decay)), -20), 5),
);

/** Times a power of two, which no floating dtype rounds. */
export function timesPowerOfTwo(exponent: number): Transform {
  const factor = 2 ** exponent;
  return {
    takes: 'any shape',
    shape: (shape) => shape,
    elements: (data, _shape, dtype) =>
      convert(
        Float32Array.from(convert(data, dtype, 'f32'), (x) => x * factor),
        'f32',
        dtype,
      ),
  };
}

const range = (index: number, size: number): [number, number] => [index * size, (index + 1) * size];

const count = (shape: Shape): number => safeElementCount(shape) ?? 0;
