import type { Capabilities } from '../kernel.ts';
import { wgsl } from '../wgsl.ts';

/** True where the threads of a matrix's row, a quad each, are within one subgroup, so that their sums need no memory. */
export function shufflesRows(
  quads: number,
  { subgroups, narrowestSubgroup }: Capabilities,
): boolean {
  return subgroups && quads <= narrowestSubgroup && (quads & (quads - 1)) === 0;
}

/**
 * `fn row_sum(value: f32, thread: u32) -> f32`: the sum over the `quads` threads beside each other that share a row.
 * Every thread of the work group must call it.
 */
export function rowSum(threads: number, quads: number, shuffles: boolean): string {
  if (shuffles) {
    return wgsl`
fn row_sum(value: f32, thread: u32) -> f32 {
  var sum = value;
  ${Array.from({ length: Math.log2(quads) }, (_, i) => `sum += subgroupShuffleXor(sum, ${2 ** i}u);`).join(' ')}
  return sum;
}`;
  }
  return wgsl`
var<workgroup> row_parts: array<f32, ${threads}>;
fn row_sum(value: f32, thread: u32) -> f32 {
  row_parts[thread] = value;
  workgroupBarrier();
  let first = (thread / ${quads}u) * ${quads}u;
  var sum = 0.0;
  for (var i = 0u; i < ${quads}u; i++) { sum += row_parts[first + i]; }
  workgroupBarrier();
  return sum;
}`;
}
