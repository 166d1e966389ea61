import { elementCount } from '@rwkv-js/tensor';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';

/** Tokens that a thread looks at together, so that their loads wait side by side. */
const together = 8;

/** Bits of the keys by which distances are told apart. */
const keyBits = 30;

/**
 * Draws a token for each row of logits; see core's operation. A work group a row; scores after penalties
 * lie in the working memory [rows, vocabulary], as distances from the largest.
 *
 * Nothing is sorted. What nucleus and topK keep is found as a threshold: distances become integer keys,
 * and three or four histograms, each within the bin that the one before found, tell the key at which the
 * sum is reached. Shares are integers too, so sums do not depend on an order, and a draw is always the
 * same. The draw itself is a race, of which the largest wins.
 */
export const sample: KernelMaker = ({ inputs, outputs }, capabilities) => {
  const [rows, vocabulary] = inputs[0]!.shape as [number, number];
  const seen = elementCount(outputs[1]!.shape);
  const threads = Math.min(1024, capabilities.threads);
  /** Every token of the vocabulary, `i`, with what is loaded of it as `v`. */
  const everyToken = (load: (i: string) => string, body: string): string => wgsl`
    for (var start = thread; start < ${vocabulary}u; start += ${together * threads}u) {
      ${Array.from({ length: together }, (_, u) => `let v${u} = ${load(`min(start + ${u * threads}u, ${vocabulary - 1}u)`)};`).join(' ')}
      ${Array.from({ length: together }, (_, u) => `{ let i = start + ${u * threads}u; let v = v${u}; if (i < ${vocabulary}u) { ${body} } }`).join('\n      ')}
    }`;
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
        source: ({
          inputs: [logits, slots, settings, random, counts],
          outputs: [tokens, next],
          scratch,
        }) => ({
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
  ${everyToken(
    (i) => `vec3f(${logits!.at(`first + ${i}`)}, ${next!.name}[past + ${i}], ${counts!.at(i)})`,
    wgsl`
    let occurrence = v.y;
    var score = v.x;
    if (occurrence != -1.0) { score -= chosen[3] + occurrence * chosen[4]; }
    if (v.z < 0.0 || (bitcast<u32>(score) & 0x7fffffffu) > 0x7f800000u) { score = never; }
    score = clamp(score, never, -never);
    ${scratch}[first + i] = score;
    top = better(top, Best(score, i));`,
  )}
  top = best_of(top, thread);
  if (top.score == never) {
    if (thread == 0u) { ${tokens!.name}[row] = -1; }
    return;
  }
  var drawn = top.token;
  if (temperature > 0.0) {
    // From here on: distances from the largest, at least 0.
    var sum = 0.0;
    var far = 0.0;
    ${everyToken(
      (i) => `${scratch}[first + ${i}]`,
      wgsl`
      let score = v;
      var distance = select(top.score - score, 0.0, score == top.score);
      if (score == never) { distance = endless; } else { far = max(far, distance); }
      ${scratch}[first + i] = distance;
      sum += share_of(distance);`,
    )}
    let total = total_of(sum, thread);
    let reach = 1.0 / max(farthest_of(far, thread), 1e-30);
    // The largest key that stays; and of those with just this key, how many of the first.
    var limit = ${2 ** keyBits - 1}u;
    var ties = ${vocabulary}u;
    if (chosen[1] < 1.0) {
      limit = find(first, u32(chosen[1] * ${2 ** 30}.0), ${2 ** 30}.0 / total, reach, thread).key;
    }
    let top_k = u32(clamp(chosen[2], 0.0, 1e9));
    if (top_k > 0u) {
      let nearest = find(first, top_k, 0.0, reach, thread);
      if (nearest.key <= limit) {
        limit = nearest.key;
        ties = top_k - nearest.before;
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
          equals += select(0.0, 1.0, key_of(${scratch}[first + i], reach) == limit);
        }
        if (u32(total_of(equals, thread)) >= ties) { high = middle; } else { low = middle + 1u; }
      }
      last = low;
    }
    var winner = Best(never, ${vocabulary}u);
    let seed = ${random!.at('2u * u32(slot)')};
    let position = ${random!.at('2u * u32(slot) + 1u')};
    ${everyToken(
      (i) => `${scratch}[first + ${i}]`,
      wgsl`
      let distance = v;
      let key = key_of(distance, reach);
      if (distance < endless && (key < limit || (key == limit && i <= last))) {
        let chance = gumbel(random_bits(bitcast<u32>(seed), bitcast<u32>(position), i));
        winner = better(winner, Best(chance - distance / temperature, i));
      }`,
    )}
    drawn = best_of(winner, thread).token;
  }
  if (chosen[5] != 1.0) {
    ${everyToken(
      (i) => `${next!.name}[past + ${i}]`,
      `if (v != -1.0) { ${next!.name}[past + i] = v * chosen[5]; }`,
    )}
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

  function shared(size: number): string {
    const levels: string[] = [];
    const perLevel = Math.log2(size);
    for (let left = keyBits; left > 0; left -= perLevel) {
      const shift = Math.max(0, left - perLevel);
      levels.push(wgsl`
  {
    atomicStore(&bins[thread], 0u);
    workgroupBarrier();
    ${everyToken(
      (i) => `scratch[first + ${i}]`,
      wgsl`
      let distance = v;
      let key = key_of(distance, reach);
      // Only what lies in the bin that was found; at the first level everything does.
      if (distance < endless && ${left === keyBits ? 'true' : `(key >> ${left}u) == found.key`}) {
        let share = select(u32(share_of(distance) * scale + 0.5), 1u, scale == 0.0);
        atomicAdd(&bins[(key >> ${shift}u) & ${2 ** (left - shift) - 1}u], share);
      }`,
    )}
    workgroupBarrier();
    found = bin_of(found, wanted, ${left - shift}u, thread);
  }`);
    }
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
var<workgroup> bins: array<atomic<u32>, ${size}>;
var<workgroup> running: array<u32, ${size}>;
var<workgroup> chosen_bin: Found;
// A key, or its first bits, and the sum of what is nearer.
struct Found { key: u32, before: u32 }
fn farthest_of(own: f32, thread: u32) -> f32 {
  sums[thread] = own;
  workgroupBarrier();
  for (var half = ${size / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { sums[thread] = max(sums[thread], sums[thread + half]); }
    workgroupBarrier();
  }
  return workgroupUniformLoad(&sums[0]);
}
fn key_of(distance: f32, reach: f32) -> u32 {
  return u32(min(distance * reach, 1.0) * ${2 ** keyBits - 128}.0);
}
// The bin in which the sum reaches what is wanted; the last that holds anything, where it never does.
fn bin_of(found: Found, wanted: u32, width: u32, thread: u32) -> Found {
  let own = atomicLoad(&bins[thread]);
  running[thread] = own;
  if (thread == 0u) { chosen_bin = Found(found.key << width, found.before); }
  workgroupBarrier();
  for (var step = 1u; step < ${size}u; step <<= 1u) {
    var before = 0u;
    if (thread >= step) { before = running[thread - step]; }
    workgroupBarrier();
    running[thread] += before;
    workgroupBarrier();
  }
  let end = found.before + running[thread];
  let all = found.before + running[${size - 1}u];
  let goal = min(wanted, all);
  if (own > 0u && end >= goal && end - own < goal) { chosen_bin = Found((found.key << width) | thread, end - own); }
  return workgroupUniformLoad(&chosen_bin);
}
// The least key within which shares (times a scale) or, with scale 0, tokens add up to what is wanted.
fn find(first: u32, wanted: u32, scale: f32, reach: f32, thread: u32) -> Found {
  var found = Found(0u, 0u);
  ${levels.join('')}
  return found;
}
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
