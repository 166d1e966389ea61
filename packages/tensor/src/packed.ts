import { dtypeName, isPacked, type DType, type PackedDType } from './dtype.ts';
import { ShapeError } from './errors.ts';
import { halfValues, toF16Bits } from './half.ts';
import { byteLength, elementCount, formatSpec, type TensorSpec } from './spec.ts';

/**
 * The packed block formats, and what their bytes mean. A packed tensor stands for plain numbers,
 * scale · quant, and every operation that takes one means those numbers.
 *
 * A tensor is cut into *lines* along the axis of its blocks: the rows of a matrix where it is the
 * last, the columns where it is the one before. Lines follow each other in row-major order of the
 * other axes, so `q8-columns` of W lies as `q8` of its transpose. A line is a whole number of blocks of
 * 32. The bytes of a tensor are two planes, little-endian:
 *
 * 1. quants, line after line. 8 bits: one signed byte a number, −127 … 127. 4 bits: 16 bytes a block;
 *    byte i holds number i in its low half and number i + 16 in its high half, each as quant + 8.
 * 2. scales, line after line, one a block.
 *
 * Matrices that are multiplied row by row have blocks along a row, so that a dot product of integers
 * runs through a block; those that are read by columns, to skip the ones that meet a zero, along a column.
 */
export const q8: PackedDType = { name: 'q8', block: 32, bits: 8, scale: 'f16', axis: -1 };

/** Four bits a number, 4.5 with its share of the scale; see {@link q8}. */
export const q4: PackedDType = { name: 'q4', block: 32, bits: 4, scale: 'f16', axis: -1 };

/** What `quantize` makes of activations: as {@link q8}, with scales of full precision. */
export const q8Activations: PackedDType = {
  name: 'q8-activations',
  block: 32,
  bits: 8,
  scale: 'f32',
  axis: -1,
};

/** The same format with its blocks along the other of the last two axes. */
export function transposedDType<D extends DType>(dtype: D): D {
  if (!isPacked(dtype)) return dtype;
  const packed: PackedDType = dtype;
  return { ...packed, axis: packed.axis === -1 ? -2 : -1 } as D;
}

/** The dtype of weights in a file, by its name; undefined for a name that is none. */
export function packedDType(name: string): PackedDType | undefined {
  return [q8, q4]
    .flatMap((dtype) => [dtype, transposedDType(dtype)])
    .find((dtype) => dtypeName(dtype) === name);
}

/** Where things lie in a packed tensor. */
export interface PackedForm {
  /** Rows, or columns, that blocks run along. */
  readonly lines: number;
  /** Numbers in a line. */
  readonly length: number;
  /** Blocks in a line. */
  readonly blocks: number;
  /** Bytes of a line's quants. */
  readonly lineBytes: number;
  /** Bytes of all quants, which is where the scales begin. */
  readonly quantBytes: number;
}

/** A tensor of a packed dtype. */
export interface PackedSpec extends TensorSpec {
  readonly dtype: PackedDType;
}

/** True when a tensor of this shape can be packed so: its lines are whole blocks, its columns a matrix's. */
export function canPack({ dtype, shape }: PackedSpec): boolean {
  const length = shape.at(dtype.axis);
  if (dtype.axis === -2 && shape.length !== 2) return false;
  return length !== undefined && length > 0 && length % dtype.block === 0;
}

/**
 * Where things lie in a packed tensor.
 *
 * @throws ShapeError when its lines are not whole blocks.
 */
export function packedForm(spec: PackedSpec): PackedForm {
  const { dtype, shape } = spec;
  if (!canPack(spec)) {
    throw new ShapeError(
      `a tensor ${formatSpec(spec)} cannot be: its blocks of ${dtype.block} run along axis ` +
        `${dtype.axis}, whose size must be a multiple of that` +
        `${dtype.axis === -2 ? ', and only a matrix has columns' : ''}`,
    );
  }
  const length = shape.at(dtype.axis)!;
  const lines = elementCount(shape) / length;
  const lineBytes = (length * dtype.bits) / 8;
  return { lines, length, blocks: length / dtype.block, lineBytes, quantBytes: lines * lineBytes };
}

/** One plane of a packed tensor as plain elements in the order they lie in. */
export interface PackedPlane {
  readonly data: Uint8Array | Uint16Array | Float32Array;
  /** Sizes slowest first: the tensor's, the axis of the blocks moved last and counted in elements here. */
  readonly shape: readonly number[];
}

/** The quants and the scales of a packed tensor, over its own memory, which begins at a multiple of 4. */
export function packedPlanes(
  spec: PackedSpec,
  bytes: Uint8Array,
): readonly [quants: PackedPlane, scales: PackedPlane] {
  const { quantBytes, lineBytes, lines, blocks } = packedForm(spec);
  const { dtype } = spec;
  const outer = [...spec.shape];
  outer.splice(spec.shape.length + dtype.axis, 1);
  const at = bytes.byteOffset + quantBytes;
  const buffer = bytes.buffer as ArrayBuffer;
  const scales =
    dtype.scale === 'f16'
      ? new Uint16Array(buffer, at, lines * blocks)
      : new Float32Array(buffer, at, lines * blocks);
  return [
    { data: bytes.subarray(0, quantBytes), shape: [...outer, lineBytes] },
    { data: scales, shape: [...outer, blocks] },
  ];
}

/** The numbers that lines of a packed tensor stand for, exact in f32: `count` lines from `first`. */
export function unpackLines(
  spec: PackedSpec,
  bytes: Uint8Array,
  first: number,
  count: number,
): Float32Array {
  const { length, blocks } = packedForm(spec);
  const { bits, block } = spec.dtype;
  const [quants, scales] = packedPlanes(spec, bytes);
  const halves = halfValues('f16');
  const result = new Float32Array(count * length);
  const signed = new Int8Array(quants.data.buffer, quants.data.byteOffset, quants.data.length);
  for (let b = 0; b < count * blocks; b++) {
    const from = first * blocks + b;
    const stored = scales.data[from]!;
    const scale = spec.dtype.scale === 'f16' ? halves[stored]! : stored;
    const to = b * block;
    if (bits === 8) {
      for (let i = 0; i < block; i++) result[to + i] = scale * signed[from * block + i]!;
    } else {
      for (let i = 0; i < block / 2; i++) {
        const byte = quants.data[(from * block) / 2 + i]!;
        result[to + i] = scale * ((byte & 15) - 8);
        result[to + i + block / 2] = scale * ((byte >> 4) - 8);
      }
    }
  }
  return result;
}

/** The numbers that a packed tensor stands for, row-major. */
export function unpack(spec: PackedSpec, bytes: Uint8Array): Float32Array {
  const { lines, length } = packedForm(spec);
  const values = unpackLines(spec, bytes, 0, lines);
  return spec.dtype.axis === -1 ? values : exchangeAxes(values, lines, length);
}

/**
 * How the quants of one block are chosen: writes whole numbers into `quants` and returns the scale,
 * which is a number of the dtype's scale type. `line` and `start` tell where the block begins.
 */
export type BlockRounding = (
  values: Float32Array,
  quants: Int8Array,
  place: { readonly line: number; readonly start: number },
) => number;

/**
 * Packs row-major numbers.
 *
 * @param rounding how quants are chosen; rounding to the nearest where it is not given
 * @throws ShapeError when the tensor's lines are not whole blocks.
 */
export function pack(
  spec: PackedSpec,
  values: Float32Array,
  rounding: BlockRounding = nearest(spec.dtype),
): Uint8Array {
  const { lines, length, blocks } = packedForm(spec);
  const { bits, block, axis } = spec.dtype;
  const byLine = axis === -1 ? values : exchangeAxes(values, length, lines);
  const bytes = new Uint8Array(byteLength(spec));
  const [quants, scales] = packedPlanes(spec, bytes);
  const chosen = new Int8Array(block);
  for (let b = 0; b < lines * blocks; b++) {
    const place = { line: Math.floor(b / blocks), start: (b % blocks) * block };
    const scale = rounding(byLine.subarray(b * block, (b + 1) * block), chosen, place);
    scales.data[b] = spec.dtype.scale === 'f16' ? toF16Bits(scale) : scale;
    if (bits === 8) quants.data.set(chosen, b * block);
    else {
      for (let i = 0; i < block / 2; i++) {
        const [low, high] = [chosen[i]! + 8, chosen[i + block / 2]! + 8];
        quants.data[(b * block) / 2 + i] = low | (high << 4);
      }
    }
  }
  return bytes;
}

/**
 * Rounding to the nearest quant. 8 bits: the largest magnitude becomes 127. 4 bits: the number of the
 * largest magnitude becomes −8, since that side has one more quant. The scale is rounded first, and
 * quants are those of the rounded scale.
 */
export function nearest({ bits, scale: scaleType }: PackedDType): BlockRounding {
  const halves = halfValues('f16');
  return (values, quants) => {
    let largest = 0;
    for (let i = 0; i < values.length; i++) {
      const value = values[i]!;
      if (Math.abs(value) > Math.abs(largest)) largest = value;
      // A scale that is no number makes everything computed with the block none.
      if (Number.isNaN(value)) return NaN;
    }
    const exact = Math.fround(bits === 8 ? Math.abs(largest) / 127 : -largest / 8);
    const scale = scaleType === 'f16' ? halves[toF16Bits(exact)]! : exact;
    quantsOf(values, scale, bits, quants);
    return scale;
  };
}

/** The nearest quants of a block under a scale, halves to even. */
export function quantsOf(
  values: Float32Array,
  scale: number,
  bits: PackedDType['bits'],
  quants: Int8Array,
): void {
  const [least, most] = bits === 8 ? [-127, 127] : [-8, 7];
  const inverse = scale === 0 ? 0 : Math.fround(1 / scale);
  for (let i = 0; i < values.length; i++) {
    const scaled = Math.fround(values[i]! * inverse);
    quants[i] = Math.max(least, Math.min(most, roundHalfEven(scaled)));
  }
}

/** Adding and taking away 1.5 · 2^52 leaves no room for a fraction, and ties go to even. */
const shifter = 1.5 * 2 ** 52;

/** The nearest whole number, halves to even, of a number whose magnitude is below 2^51. */
export function roundHalfEven(value: number): number {
  return value + shifter - shifter;
}

/** A matrix of `rows` by `columns`, transposed. */
function exchangeAxes(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      result[column * rows + row] = values[row * columns + column]!;
    }
  }
  return result;
}
