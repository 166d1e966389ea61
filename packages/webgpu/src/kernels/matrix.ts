import { isPacked, packedForm, type PackedDType, type TensorSpec } from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
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

/** The array that a matrix is bound as where it is read in chunks. */
function chunkType(spec: TensorSpec): string | undefined {
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

/** Functions that turn words into numbers; a shader that reads matrices has them once. */
export const unpacking = wgsl`
fn halves(words: vec2u) -> vec4f { return vec4f(unpack2x16float(words.x), unpack2x16float(words.y)); }
fn brains(words: vec2u) -> vec4f {
  return bitcast<vec4f>(vec4u(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}
// Whole numbers become floats by their bits: set into the fraction of a power of two, which is taken off
// again. It takes fewer and faster instructions than a conversion.
fn signed_bytes(word: u32) -> vec4f {
  let raised = word ^ 0x80808080u;
  let bits = (vec4u(raised, raised, raised >> 16u, raised >> 16u) & vec4u(0xffu, 0xff00u, 0xffu, 0xff00u)) |
    vec4u(0x4b000000u, 0x47000000u, 0x4b000000u, 0x47000000u);
  return bitcast<vec4f>(bits) - vec4f(8388736.0, 32896.0, 8388736.0, 32896.0);
}
fn low_quants(word: u32) -> vec4f {
  let bits = (vec4u(word, word, word, word >> 8u) & vec4u(0xfu, 0xf00u, 0xf0000u, 0xf0000u)) |
    vec4u(0x4b000000u, 0x47000000u, 0x43000000u, 0x43000000u);
  return bitcast<vec4f>(bits) - vec4f(8388616.0, 32776.0, 136.0, 136.0);
}
fn high_quants(word: u32) -> vec4f {
  let bits = (vec4u(word, word, word >> 8u, word >> 12u) & vec4u(0xf0u, 0xf000u, 0xf000u, 0xf0000u)) |
    vec4u(0x49000000u, 0x45000000u, 0x45000000u, 0x43000000u);
  return bitcast<vec4f>(bits) - vec4f(524296.0, 2056.0, 2056.0, 136.0);
}
`;

/**
 * `fn NAME(line: u32, chunk: u32) -> mat2x4f` over an argument that is bound as {@link chunkType} says.
 * Numbers past the line's end are zeros.
 */
function chunkReader(name: string, x: Argument): string {
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
    const scale = scaleOf(x, dtype, `(line * ${chunks / 4}u + chunk / 4u)`);
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
  return mat2x4f(scale * low_quants(word), scale * high_quants(word));
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

/** Numbers of a line that are one load of 16 bytes, in quads: two of 16 bits, four of 8, eight of 4. */
export function loadQuads({ dtype }: TensorSpec): number {
  if (!isPacked(dtype) || dtype.scale === 'f32') return 2;
  return dtype.bits === 8 ? 4 : 8;
}

/** The array that a matrix is bound as where it is read by {@link loadsOf}. */
export function loadType(spec: TensorSpec): string | undefined {
  const { dtype } = spec;
  return isPacked(dtype) && dtype.scale === 'f16' ? 'array<vec4<u32>>' : chunkType(spec);
}

/** How the text of a shader takes a matrix load by load. */
export interface Loads {
  /** Functions that the others call. */
  readonly module: string;
  /** WGSL type of what a load gives. */
  readonly type: string;
  /** Expression: one load of a line. */
  readonly load: (line: string, load: string) => string;
  /** Expression: four of its numbers, in their order, without the scale. */
  readonly quad: (loaded: string, i: number) => string;
  /** What the numbers of a load are multiplied with, where they are packed. */
  readonly scale?: {
    /** Expression: the scale of a load. */
    readonly of: (line: string, load: string) => string;
    /** Expressions: the word that it lies in, and the scale from that word, for whoever has time between. */
    readonly word: (line: string, load: string) => string;
    readonly from: (word: string, line: string, load: string) => string;
  };
}

/** The loads of an argument that is bound as {@link loadType} says. Numbers past a line's end are zeros. */
export function loadsOf(name: string, x: Argument): Loads {
  const { dtype } = x.spec;
  if (x.type !== 'array<vec4<u32>>') {
    return {
      module: chunkReader(name, x),
      type: 'mat2x4f',
      load: (line, load) => `${name}(${line}, ${load})`,
      quad: (loaded, i) => `${loaded}[${i}]`,
    };
  }
  const perLine = linesOf(x.spec).length / (4 * loadQuads(x.spec));
  const place = (line: string, load: string): string => `${line} * ${perLine}u + ${load}`;
  const plain = {
    type: 'vec4u',
    load: (line: string, load: string): string => `${x.name}[${place(line, load)}]`,
  };
  if (!isPacked(dtype)) {
    const wide = dtype === 'f16' ? 'halves' : 'brains';
    return {
      ...plain,
      module: '',
      quad: (loaded, i) => `${wide}(${loaded}.${i === 0 ? 'xy' : 'zw'})`,
    };
  }
  const [word, bits] = halfWord(x, dtype, dtype.bits === 8 ? '(at >> 1u)' : 'at');
  return {
    ...plain,
    module: wgsl`
fn ${name}_scale_word(at: u32) -> u32 { return ${word}; }
fn ${name}_scale_from(word: u32, at: u32) -> f32 { return ${bits('word')}; }`,
    quad: (loaded, i) =>
      dtype.bits === 8
        ? `signed_bytes(${loaded}[${i}])`
        : `${i < 4 ? 'low' : 'high'}_quants(${loaded}[${i % 4}])`,
    scale: {
      of: (line, load) =>
        `${name}_scale_from(${name}_scale_word(${place(line, load)}), ${place(line, load)})`,
      word: (line, load) => `${name}_scale_word(${place(line, load)})`,
      from: (loaded, line, load) => `${name}_scale_from(${loaded}, ${place(line, load)})`,
    },
  };
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
    const scale = scaleOf(x, dtype, `(line * ${quads / 8}u + quad / 8u)`);
    return wgsl`
${head}
  if (quad >= ${quads}u) { return vec4f(); }
  ${
    dtype.bits === 8
      ? `return ${scale} * signed_bytes(${x.name}[line * ${quads}u + quad]);`
      : `let word = ${x.name}[line * ${quads / 2}u + (quad >> 3u) * 4u + (quad & 3u)];
  return ${scale} * low_quants(word >> (quad & 4u));`
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

/** The word that has a block's scale, by its place among the scales, and the scale from that word. */
function halfWord(
  x: Argument,
  dtype: PackedDType,
  block: string,
): readonly [word: string, scale: (word: string) => string] {
  const firstWord = packedForm({ dtype, shape: x.spec.shape }).quantBytes / 4;
  const at = `(${firstWord}u + (${block} >> 1u))`;
  const word =
    x.type === 'array<vec4<u32>>'
      ? `${x.name}[${at} >> 2u][${at} & 3u]`
      : x.type === 'array<vec2<u32>>'
        ? `${x.name}[${at} >> 1u][${at} & 1u]`
        : `${x.name}[${at}]`;
  return [word, (loaded) => `unpack2x16float(${loaded} >> (16u * (${block} & 1u))).x`];
}

/** The scale of a block, by its place among the scales. */
function scaleOf(x: Argument, dtype: PackedDType, block: string): string {
  const [word, scale] = halfWord(x, dtype, block);
  return scale(word);
}
