import { isPacked, packedForm, type PackedDType, type TensorSpec } from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
import type { Capabilities } from '../kernel.ts';
import { wgsl } from '../wgsl.ts';

/**
 * How kernels read matrices: in *chunks* of eight numbers of a line, given as two vectors of four, and
 * in *quads* of four. A line is a row, or a column of a matrix that is packed along its columns, which
 * lies as its transpose does. Chunks follow how numbers lie in memory, so that a chunk is one load: of a
 * 4-bit block's 32 numbers, chunk j holds 4j … 4j + 3 and 4j + 16 … 4j + 19.
 */
export interface Lines {
  readonly count: number;
  /** Numbers in a line. */
  readonly length: number;
  /** Chunks in a line. */
  readonly chunks: number;
}

/** The lines of a matrix. */
export function linesOf({ dtype, shape }: TensorSpec): Lines {
  const [rows, columns] = shape as [number, number];
  const [count, length] = isByColumns({ dtype, shape }) ? [columns, rows] : [rows, columns];
  return { count, length, chunks: Math.ceil(length / 8) };
}

/** True for a matrix that is packed along its columns. */
export function isByColumns({ dtype }: TensorSpec): boolean {
  return isPacked(dtype) && dtype.axis === -2;
}

/** Bytes of a chunk in memory, scales not counted. */
export function chunkBytes({ dtype }: TensorSpec): number {
  if (isPacked(dtype)) return dtype.bits;
  return dtype === 'f32' ? 32 : 16;
}

/** The array that a matrix is bound as where it is read in chunks. */
export function chunkType(spec: TensorSpec): string | undefined {
  const { dtype } = spec;
  const { length } = linesOf(spec);
  if (isPacked(dtype)) {
    return dtype.scale === 'f32' ? undefined : `array<${dtype.bits === 8 ? 'vec2<u32>' : 'u32'}>`;
  }
  if (dtype === 'f32') return length % 4 === 0 ? 'array<vec4<f32>>' : undefined;
  return length % 8 === 0 ? 'array<vec4<u32>>' : undefined;
}

/** The array that a matrix is bound as where it is read in quads. */
export function quadType(spec: TensorSpec): string | undefined {
  const { dtype } = spec;
  if (isPacked(dtype)) return undefined;
  if (linesOf(spec).length % 4 !== 0) return undefined;
  return dtype === 'f32' ? 'array<vec4<f32>>' : 'array<vec2<u32>>';
}

/** The first number of a chunk's two vectors, in quads of the line. */
export function chunkQuads(spec: TensorSpec, chunk: string): readonly [string, string] {
  if (isPacked(spec.dtype) && spec.dtype.bits === 4) {
    const first = `((${chunk} >> 2u) * 8u + (${chunk} & 3u))`;
    return [first, `(${first} + 4u)`];
  }
  return [`(2u * ${chunk})`, `(2u * ${chunk} + 1u)`];
}

/** Functions that turn words into numbers; a shader that reads matrices has them once. */
export function unpacking({ unpack4x8 }: Capabilities): string {
  return wgsl`
fn halves(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }
fn brains(words: vec2u) -> vec4f {
  return bitcast<vec4f>(vec4u(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}
fn signed_bytes(word: u32) -> vec4f {
  ${
    unpack4x8
      ? 'return vec4f(unpack4xI8(word));'
      : 'return vec4f((vec4i(i32(word)) << vec4u(24u, 16u, 8u, 0u)) >> vec4u(24u));'
  }
}
// The low halves of four bytes: quants + 8.
fn low_nibbles(word: u32) -> vec4f {
  let each = word & 0x0f0f0f0fu;
  ${
    unpack4x8
      ? 'return vec4f(unpack4xU8(each));'
      : 'return vec4f((vec4u(each) >> vec4u(0u, 8u, 16u, 24u)) & vec4u(15u));'
  }
}
`;
}

/**
 * `fn NAME(line: u32, chunk: u32) -> mat2x4f` over an argument that is bound as {@link chunkType} says.
 * Numbers past the line's end are zeros.
 */
export function chunkReader(name: string, x: Argument): string {
  const { dtype } = x.spec;
  const { length, chunks } = linesOf(x.spec);
  const head = `fn ${name}(line: u32, chunk: u32) -> mat2x4f {`;
  if (chunkType(x.spec) === undefined) {
    const place = lineAt(x.spec);
    const each = (i: number): string => `at_or_zero_${name}(line, 8u * chunk + ${i}u)`;
    return wgsl`
fn at_or_zero_${name}(line: u32, i: u32) -> f32 {
  if (i >= ${length}u) { return 0.0; }
  return ${x.at(place('line', 'i'))};
}
${head}
  return mat2x4f(${[0, 1, 2, 3, 4, 5, 6, 7].map(each).join(', ')});
}`;
  }
  if (isPacked(dtype)) {
    const scale = halfWord(x, dtype, `(line * ${chunks / 4}u + chunk / 4u)`);
    return dtype.bits === 8
      ? wgsl`
${head}
  let words = ${x.name}[line * ${chunks}u + chunk];
  let scale = ${scale};
  return mat2x4f(scale * signed_bytes(words.x), scale * signed_bytes(words.y));
}`
      : wgsl`
${head}
  let word = ${x.name}[line * ${chunks}u + chunk];
  let scale = ${scale};
  return mat2x4f(scale * (low_nibbles(word) - 8.0), scale * (low_nibbles(word >> 4u) - 8.0));
}`;
  }
  if (dtype === 'f32') {
    return wgsl`
${head}
  let at = line * ${length / 4}u + 2u * chunk;
  ${length % 8 === 0 ? '' : `if (2u * chunk + 1u >= ${length / 4}u) { return mat2x4f(${x.name}[at], vec4f()); }`}
  return mat2x4f(${x.name}[at], ${x.name}[at + 1u]);
}`;
  }
  const wide = dtype === 'f16' ? 'halves' : 'brains';
  return wgsl`
${head}
  let words = ${x.name}[line * ${chunks}u + chunk];
  return mat2x4f(${wide}(words.xy), ${wide}(words.zw));
}`;
}

/**
 * `fn NAME(line: u32, chunk: u32, low: vec4f, high: vec4f, sum: f32) -> f32`: the product of a chunk with
 * the eight numbers that meet it, whose sum is `sum`. Scales, and the eight that 4-bit quants are off by,
 * are taken once a chunk and not once a number.
 */
export function chunkDot(name: string, x: Argument): string {
  const { dtype } = x.spec;
  const head = `fn ${name}(line: u32, chunk: u32, low: vec4f, high: vec4f, sum: f32) -> f32 {`;
  if (!isPacked(dtype) || dtype.scale === 'f32') {
    return wgsl`${chunkReader(`${name}_chunk`, x)}
${head}
  let w = ${name}_chunk(line, chunk);
  return dot(w[0], low) + dot(w[1], high);
}`;
  }
  const { chunks } = linesOf(x.spec);
  const scale = halfWord(x, dtype, `(line * ${chunks / 4}u + chunk / 4u)`);
  const load = `${x.name}[line * ${chunks}u + chunk]`;
  return dtype.bits === 8
    ? wgsl`
${head}
  let words = ${load};
  return ${scale} * (dot(signed_bytes(words.x), low) + dot(signed_bytes(words.y), high));
}`
    : wgsl`
${head}
  let word = ${load};
  return ${scale} * (dot(low_nibbles(word), low) + dot(low_nibbles(word >> 4u), high) - 8.0 * sum);
}`;
}

/**
 * `fn NAME(line: u32, quad: u32) -> vec4f` over an argument that is bound as {@link quadType} says. Numbers
 * past the line's end are zeros.
 */
export function quadReader(name: string, x: Argument): string {
  const { dtype } = x.spec;
  const { length } = linesOf(x.spec);
  const head = `fn ${name}(line: u32, quad: u32) -> vec4f {`;
  if (isPacked(dtype) && dtype.scale === 'f16') {
    const quads = length / 4;
    const scale = halfWord(x, dtype, `(line * ${quads / 8}u + quad / 8u)`);
    return wgsl`
${head}
  if (quad >= ${quads}u) { return vec4f(); }
  ${
    dtype.bits === 8
      ? `return ${scale} * signed_bytes(${x.name}[line * ${quads}u + quad]);`
      : `let word = ${x.name}[line * ${quads / 2}u + (quad >> 3u) * 4u + (quad & 3u)];
  return ${scale} * (low_nibbles(word >> (quad & 4u)) - 8.0);`
  }
}`;
  }
  if (isPacked(dtype) || length % 4 !== 0) {
    const place = lineAt(x.spec);
    return wgsl`
fn at_or_zero_${name}(line: u32, i: u32) -> f32 {
  if (i >= ${length}u) { return 0.0; }
  return ${x.at(place('line', 'i'))};
}
${head}
  return vec4f(${[0, 1, 2, 3].map((i) => `at_or_zero_${name}(line, 4u * quad + ${i}u)`).join(', ')});
}`;
  }
  const load = `${x.name}[line * ${length / 4}u + quad]`;
  const wide = dtype === 'f32' ? load : `${dtype === 'f16' ? 'halves' : 'brains'}(${load})`;
  return wgsl`
${head}
  if (quad >= ${length / 4}u) { return vec4f(); }
  return ${wide};
}`;
}

/** The row-major place of number i of a line. */
function lineAt(spec: TensorSpec): (line: string, i: string) => string {
  const columns = spec.shape.at(-1)!;
  return isByColumns(spec)
    ? (line, i) => `${i} * ${columns}u + ${line}`
    : (line, i) => `${line} * ${columns}u + ${i}`;
}

/** The scale of a block, by its place among the scales. */
function halfWord(x: Argument, dtype: PackedDType, block: string): string {
  const firstWord = packedForm({ dtype, shape: x.spec.shape }).quantBytes / 4;
  const word = `(${firstWord}u + (${block} >> 1u))`;
  const load =
    x.type === 'array<vec2<u32>>' ? `${x.name}[${word} >> 1u][${word} & 1u]` : `${x.name}[${word}]`;
  return `unpack2x16float(${load})[${block} & 1u]`;
}
