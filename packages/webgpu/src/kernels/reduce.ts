import { wgsl } from '../wgsl.ts';

/**
 * Reductions over a work group. They give `fn NAME(value: f32, thread: u32) -> f32`, or with subgroups
 * `fn NAME(value: f32, thread: u32, lane: u32, lanes: u32) -> f32`; every thread must call it, and every
 * thread gets the result, always from the same order of additions.
 *
 * @param threads of the work group, a power of two
 */
export function reduction(
  name: string,
  threads: number,
  combine: '+' | 'max' = '+',
  subgroups = false,
): string {
  const both = (a: string, b: string): string =>
    combine === '+' ? `${a} + ${b}` : `max(${a}, ${b})`;
  if (subgroups) {
    // The narrowest subgroup has four lanes.
    return wgsl`
var<workgroup> ${name}_parts: array<f32, ${Math.max(1, threads / 4)}>;
fn ${name}(value: f32, thread: u32, lane: u32, lanes: u32) -> f32 {
  let part = subgroup${combine === '+' ? 'Add' : 'Max'}(value);
  if (lane == 0u) { ${name}_parts[thread / lanes] = part; }
  workgroupBarrier();
  var all = ${name}_parts[0];
  for (var i = 1u; i < (${threads}u + lanes - 1u) / lanes; i++) { all = ${both('all', `${name}_parts[i]`)}; }
  workgroupBarrier();
  return all;
}`;
  }
  return wgsl`
var<workgroup> ${name}_parts: array<f32, ${threads}>;
fn ${name}(value: f32, thread: u32) -> f32 {
  ${name}_parts[thread] = value;
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { ${name}_parts[thread] = ${both(`${name}_parts[thread]`, `${name}_parts[thread + half]`)}; }
    workgroupBarrier();
  }
  let all = ${name}_parts[0];
  workgroupBarrier();
  return all;
}`;
}
