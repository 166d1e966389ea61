import { elementCount, type TensorSpec } from '@rwkv-js/tensor';
import type { Capabilities, KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';

const threads = 64;

/** Vectors of four in a block of numbers that share a scale. */
export const blockQuads = 8;

/**
 * Functions that make quantised rows. Sizes go as bits without their sign, which are ordered as the numbers
 * are, those of NaN last: a block with NaN or infinity has a scale that is not finite.
 */
export const quantizing = wgsl`
fn size_of(values: vec4f) -> u32 {
  let sizes = bitcast<vec4u>(values) & vec4u(0x7fffffffu);
  return max(max(sizes.x, sizes.y), max(sizes.z, sizes.w));
}
// A quotient that is a number of the format comes out as that number, however the device divides.
fn scale_of(size: u32) -> f32 {
  let largest = bitcast<f32>(size);
  let scale = largest / 127.0;
  return scale + fma(-scale, 127.0, largest) / 127.0;
}
fn quants_of(values: vec4f, scale: f32) -> u32 {
  let inverse = select(1.0 / scale, 0.0, scale == 0.0);
  let quants = bitcast<vec4u>(vec4i(clamp(round(values * inverse), vec4f(-127.0), vec4f(127.0)))) & vec4u(255u);
  return quants.x | (quants.y << 8u) | (quants.z << 16u) | (quants.w << 24u);
}
`;

/**
 * `fn block_size(size: u32, thread: u32) -> u32`: the largest of a block's sizes, for eight threads beside each
 * other that have a vector of it each. Every thread of the work group must call it.
 */
export function blockSize(count: number, { subgroups, narrowestSubgroup }: Capabilities): string {
  if (subgroups && narrowestSubgroup >= blockQuads) {
    return wgsl`
fn block_size(size: u32, thread: u32) -> u32 {
  var all = max(size, subgroupShuffleXor(size, 1u));
  all = max(all, subgroupShuffleXor(all, 2u));
  return max(all, subgroupShuffleXor(all, 4u));
}`;
  }
  return wgsl`
var<workgroup> block_sizes: array<u32, ${count}>;
fn block_size(size: u32, thread: u32) -> u32 {
  workgroupBarrier();
  block_sizes[thread] = size;
  workgroupBarrier();
  let first = thread & ~7u;
  var all = 0u;
  for (var i = 0u; i < ${blockQuads}u; i++) { all = max(all, block_sizes[first + i]); }
  return all;
}`;
}

/** The word among those of quantised rows at which their scales begin. */
export function firstScale({ shape }: TensorSpec): number {
  return elementCount(shape) / 4;
}

/**
 * Activations as 8-bit blocks of 32: x f32 → quants, then scales f32. A thread for each block, which it
 * reads once and writes as eight words and a scale.
 */
export const quantize: KernelMaker = ({ inputs }) => {
  const count = elementCount(inputs[0]!.shape);
  const blocks = count / 32;
  const quads = Array.from({ length: blockQuads }, (_, i) => i);
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(blocks / threads)),
        threads,
        types: { 0: 'array<vec4<f32>>' },
        source: ({ inputs: [x], outputs: [y] }) => ({
          module: quantizing,
          main: wgsl`
  let block = ${flatGroup} * ${threads}u + thread;
  if (block >= ${blocks}u) { return; }
  ${quads.map((i) => `let x${i} = ${x!.name}[block * ${blockQuads}u + ${i}u];`).join(' ')}
  let scale = scale_of(${quads.map((i) => `size_of(x${i})`).reduce((a, b) => `max(${a}, ${b})`)});
  ${quads.map((i) => `${y!.name}[block * ${blockQuads}u + ${i}u] = quants_of(x${i}, scale);`).join(' ')}
  ${y!.name}[${firstScale(inputs[0]!)}u + block] = bitcast<u32>(scale);`,
        }),
      },
    ],
  };
};
