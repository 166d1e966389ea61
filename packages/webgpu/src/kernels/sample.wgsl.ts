import { elementCount } from '@rwkv-js/tensor';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';

/** Thresholds that one search through the scores tells apart. */
const ways = 15;

/**
 * Draws a token for each row of logits; see core's operation. A work group a row; scores after penalties
 * lie in the working memory [rows, vocabulary], as distances from the largest.
 *
 * Nothing is sorted. Which scores nucleus and topK keep is found as a threshold: the bits of a distance
 * grow with it, so eight searches, each of which tells sixteen ranges apart, find it to the bit. The draw
 * itself is a race, of which the largest wins. Sums have a fixed order, so a draw is always the same.
 */
export const sample: KernelMaker = ({ inputs, outputs }, capabilities) => {
  const [rows, vocabulary] = inputs[0]!.shape as [number, number];
  const seen = elementCount(outputs[1]!.shape);
  const threads = Math.min(1024, capabilities.threads);
  return {
    scratchBytes: 4 * rows * vocabulary,
    passes: [
      {
        grid: gridOf(Math.ceil(seen / 256)),
        threads: 256,
        source: ({ inputs: all, outputs: [, next] }) => ({
          // Where the state is written in place there is nothing to carry.
          main:
            all[5]!.name === next!.name
              ? ''
              : wgsl`
  let i = ${flatGroup} * 256u + thread;
  if (i < ${seen}u) { ${next!.name}[i] = ${all[5]!.at('i')}; }`,
        }),
      },
      {
        grid: gridOf(rows),
        threads,
        source: ({ inputs: [logits, slots, settings, random, counts], outputs: [tokens, next], scratch }) => ({
          module: shared(threads),
          main: wgsl`
  let row = ${flatGroup};
  if (row >= ${rows}u) { return; }
  if (thread == 0u) { slot_of_row = ${slots!.at('row')}; }
  let slot = workgroupUniformLoad(&slot_of_row);
  if (slot < 0) {
    if (thread == 0u) { ${tokens!.name}[row] = -1; }
    return;
  }
  if (thread < 6u) { setting[thread] = ${settings!.at('u32(slot) * 6u + thread')}; }
  let chosen = workgroupUniformLoad(&setting);
  let temperature = chosen[0];
  let past = u32(slot) * ${vocabulary}u;
  let first = row * ${vocabulary}u;

  // Penalties; what is never drawn, or no number, is marked.
  var top = Best(never, ${vocabulary}u);
  for (var i = thread; i < ${vocabulary}u; i += ${threads}u) {
    let occurrence = ${next!.name}[past + i];
    var score = ${logits!.at('first + i')};
    if (occurrence != -1.0) { score -= chosen[3] + occurrence * chosen[4]; }
    if (${counts!.at('i')} < 0.0 || (bitcast<u32>(score) & 0x7fffffffu) > 0x7f800000u) { score = never; }
    score = clamp(score, never, -never);
    ${scratch}[first + i] = score;
    top = better(top, Best(score, i));
  }
  top = best_of(top, thread);
  if (top.score == never) {
    if (thread == 0u) { ${tokens!.name}[row] = -1; }
    return;
  }
  var drawn = top.token;
  if (temperature > 0.0) {
    // From here on: distances from the largest, at least 0.
    var sum = 0.0;
    for (var i = thread; i < ${vocabulary}u; i += ${threads}u) {
      let score = ${scratch}[first + i];
      let distance = select(select(top.score - score, 0.0, score == top.score), endless, score == never);
      ${scratch}[first + i] = distance;
      sum += share_of(distance);
    }
    let total = total_of(sum, thread);
    // The largest distance that stays, as bits; and of those just as far, how many of the first.
    var limit = ${bits('endless')} - 1u;
    var ties = ${vocabulary}u;
    if (chosen[1] < 1.0) {
      limit = find_share(first, chosen[1] * total, thread);
    }
    let top_k = u32(clamp(chosen[2], 0.0, 4e9));
    if (top_k > 0u) {
      let nearest = find_count(first, f32(top_k), thread);
      if (nearest <= limit) {
        limit = nearest;
        var nearer = 0.0;
        for (var i = thread; i < ${vocabulary}u; i += ${threads}u) {
          nearer += select(0.0, 1.0, ${bits(`${scratch}[first + i]`)} < limit);
        }
        ties = top_k - u32(total_of(nearer, thread));
      }
    }
    // Of equals at the limit the first stay: the last place that does.
    var last = ${vocabulary}u;
    if (ties < ${vocabulary}u) {
      var low = 0u;
      var high = ${vocabulary}u;
      while (low < high) {
        let middle = (low + high) / 2u;
        var equals = 0.0;
        for (var i = thread; i <= middle; i += ${threads}u) {
          equals += select(0.0, 1.0, ${bits(`${scratch}[first + i]`)} == limit);
        }
        if (u32(total_of(equals, thread)) >= ties) { high = middle; } else { low = middle + 1u; }
      }
      last = low;
    }
    var winner = Best(never, ${vocabulary}u);
    let seed = ${random!.at('2u * u32(slot)')};
    let position = ${random!.at('2u * u32(slot) + 1u')};
    for (var i = thread; i < ${vocabulary}u; i += ${threads}u) {
      let distance = ${scratch}[first + i];
      let key = ${bits('distance')};
      if (key < limit || (key == limit && i <= last)) {
        let chance = gumbel(random_bits(bitcast<u32>(seed), bitcast<u32>(position), i));
        winner = better(winner, Best(chance - distance / temperature, i));
      }
    }
    drawn = best_of(winner, thread).token;
  }
  if (chosen[5] != 1.0) {
    for (var i = thread; i < ${vocabulary}u; i += ${threads}u) {
      let occurrence = ${next!.name}[past + i];
      if (occurrence != -1.0) { ${next!.name}[past + i] = occurrence * chosen[5]; }
    }
  }
  storageBarrier();
  if (thread == 0u) {
    ${tokens!.name}[row] = i32(drawn);
    ${next!.name}[past + drawn] = max(${next!.name}[past + drawn], 0.0) + ${counts!.at('drawn')};
  }`,
        }),
      },
    ],
  };

  function bits(value: string): string {
    return `bitcast<u32>(${value})`;
  }

  function shared(size: number): string {
    // The least distance, as bits, within which the weights add up to `wanted`.
    const finder = (name: string, weight: string): string => wgsl`
fn ${name}(first: u32, wanted: f32, thread: u32) -> u32 {
  var base = 0u;
  for (var shift = 32u; shift > 0u;) {
    shift -= 4u;
    var within = array<f32, ${ways}>();
    for (var i = thread; i < ${vocabulary}u; i += ${size}u) {
      let distance = scratch[first + i];
      let key = bitcast<u32>(distance);
      let weight = ${weight};
      for (var w = 0u; w < ${ways}u; w++) {
        // The w-th range ends before base + (w + 1) << shift.
        within[w] += select(0.0, weight, key < base + ((w + 1u) << shift));
      }
    }
    var passed = 0u;
    for (var w = 0u; w < ${ways}u; w++) {
      if (total_of(within[w], thread) < wanted) { passed = w + 1u; }
    }
    base += passed << shift;
  }
  // Rounding may leave the sum of all below what is wanted of it.
  return min(base, bitcast<u32>(endless) - 1u);
}`;
    return wgsl`
struct Best { score: f32, token: u32 }
// Lower than any score, and farther than any distance; both finite, as WebGPU promises little of infinity.
const never = -3.4e38f;
const endless = 3.0e38f;
var<workgroup> slot_of_row: i32;
var<workgroup> setting: array<f32, 6>;
var<workgroup> sums: array<f32, ${size}>;
var<workgroup> bests: array<Best, ${size}>;
// Some drivers give no number for the exponential of what is far below 0.
fn share_of(distance: f32) -> f32 { return exp(-min(distance, 80.0)); }
fn better(a: Best, b: Best) -> Best {
  if (b.score > a.score || (b.score == a.score && b.token < a.token)) { return b; }
  return a;
}
fn best_of(own: Best, thread: u32) -> Best {
  bests[thread] = own;
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { bests[thread] = better(bests[thread], bests[thread + half]); }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&bests[0]);
}
fn total_of(own: f32, thread: u32) -> f32 {
  sums[thread] = own;
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { sums[thread] += sums[thread + half]; }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&sums[0]);
}
${finder('find_share', 'share_of(distance)')}
${finder('find_count', '1.0')}
// pcg3d, as core/src/ops/random.ts.
fn random_bits(seed: u32, position: u32, token: u32) -> u32 {
  var x = seed * 1664525u + 1013904223u;
  var y = position * 1664525u + 1013904223u;
  var z = token * 1664525u + 1013904223u;
  x += y * z;
  y += z * x;
  z += x * y;
  x ^= x >> 16u;
  y ^= y >> 16u;
  z ^= z >> 16u;
  return x + y * z;
}
// −ln(−ln u) with u = (bits + ½) / 2³², also where u is so close to 1 that f32 would call it 1.
fn gumbel(bits: u32) -> f32 {
  var exponential = 0.0;
  if (bits < 0x80000000u) {
    exponential = -log((f32(bits) + 0.5) / 4294967296.0);
  } else {
    // −ln(1 − v) = 2 artanh(v / (2 − v))
    let v = (f32(~bits) + 0.5) / 4294967296.0;
    let z = v / (2.0 - v);
    let q = z * z;
    exponential = 2.0 * z * (1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * (1.0 / 11.0 + q * (1.0 / 13.0)))))));
  }
  return -log(exponential);
}`;
  }
};
