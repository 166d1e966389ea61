import { elementCount } from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';

/** Tokens that a thread looks at together, so that their loads wait side by side. */
const together = 8;

/** Bits of the keys by which distances are told apart. */
const keyBits = 30;

/** Threads of the work groups that share a row, and tokens of each. */
const ownThreads = 256;
const ownTokens = 1024;

/**
 * Draws a token for each row of logits; see core's operation.
 *
 * Work groups that share a row make its scores after penalties, and of their part the best, the least and the sum
 * of shares: all in the working memory, scores [rows, vocabulary], then parts. One work group a row draws. Others
 * keep what occurred.
 *
 * Nothing is sorted. What nucleus and topK keep is found as a threshold: distances from the best become integer
 * keys, and three or four histograms, each within the bin that the one before found, tell the key at which the
 * sum is reached. Shares are integers too, so sums do not depend on an order, and a draw is always the
 * same. The draw itself is a race, of which the largest wins. For nucleus alone the second look at the scores is
 * the last: what is nearer than the bin takes part at once, and what lies in it, mostly a few, is noted and looked at
 * by itself.
 */
export const sample: KernelMaker = ({ inputs, outputs }, capabilities) => {
  const [rows, vocabulary] = inputs[0]!.shape as [number, number];
  const [slotCount] = outputs[1]!.shape as [number, number];
  const seen = elementCount(outputs[1]!.shape);
  const threads = Math.min(capabilities.workgroupMemory < 32768 ? 256 : 1024, capabilities.threads);
  const parts = Math.ceil(vocabulary / ownTokens);
  /** Where the parts of a row begin in the working memory. */
  const firstPart = `${rows * vocabulary}u + row * ${4 * parts}u`;
  const own = Array.from({ length: ownTokens / ownThreads }, (_, e) => e);
  const levels = levelsOf(threads);
  return {
    scratchBytes: 4 * rows * (vocabulary + 4 * parts),
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
        grid: gridOf(rows * parts),
        threads: ownThreads,
        source: ({ inputs: [logits, slots, settings, , counts], outputs: [, next], scratch }) => ({
          module: wgsl`${slotOfRow(slots!, rows, slotCount)}${scores(ownThreads)}
var<workgroup> leasts: array<f32, ${ownThreads}>;`,
          main: wgsl`
  let row = ${flatGroup} / ${parts}u;
  let part = ${flatGroup} % ${parts}u;
  let slot = slot_of(row, thread);
  if (slot < 0) { return; }
  let past = u32(slot) * ${vocabulary}u;
  let first = row * ${vocabulary}u;
  let presence = ${settings!.at('u32(slot) * 6u + 3u')};
  let frequency = ${settings!.at('u32(slot) * 6u + 4u')};
  ${own
    .map(
      (e) => wgsl`let place_${e} = part * ${ownTokens}u + thread + ${e * ownThreads}u;
  let i_${e} = min(place_${e}, ${vocabulary - 1}u);
  let logit_${e} = ${logits!.at(`first + i_${e}`)};
  let occurrence_${e} = ${next!.name}[past + i_${e}];
  let count_${e} = ${counts!.at(`i_${e}`)};`,
    )
    .join('\n  ')}
  var top = Best(never, ${vocabulary}u);
  var least = -never;
  // Penalties; what is never drawn, or no number, is marked.
  ${own
    .map(
      (e) => wgsl`var score_${e} = logit_${e};
  if (occurrence_${e} != -1.0) { score_${e} -= presence + occurrence_${e} * frequency; }
  if (count_${e} < 0.0 || (bitcast<u32>(score_${e}) & 0x7fffffffu) > 0x7f800000u) { score_${e} = never; }
  score_${e} = clamp(score_${e}, never, -never);
  if (place_${e} < ${vocabulary}u) {
    ${scratch}[first + place_${e}] = score_${e};
    top = better(top, Best(score_${e}, place_${e}));
    if (score_${e} != never) { least = min(least, score_${e}); }
  } else { score_${e} = never; }`,
    )
    .join('\n  ')}
  top = best_of(top, thread);
  var sum = 0.0;
  ${own.map((e) => `if (score_${e} != never) { sum += share_of(distance_of(score_${e}, top.score)); }`).join('\n  ')}
  sum = total_of(sum, thread);
  leasts[thread] = least;
  workgroupBarrier();
  for (var half = ${ownThreads / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { leasts[thread] = min(leasts[thread], leasts[thread + half]); }
    workgroupBarrier();
  }
  if (thread == 0u) {
    let at = ${firstPart} + 4u * part;
    ${scratch}[at] = top.score;
    ${scratch}[at + 1u] = f32(top.token);
    ${scratch}[at + 2u] = leasts[0];
    ${scratch}[at + 3u] = sum;
  }`,
        }),
      },
      {
        grid: gridOf(rows),
        threads,
        source: ({ inputs: [, slots, settings, random], outputs: [tokens], scratch }) => ({
          module: wgsl`${slotOfRow(slots!, rows, slotCount)}${scores(threads)}${draws(threads, vocabulary, scratch)}`,
          main: wgsl`
  let row = ${flatGroup};
  let slot = slot_of(row, thread);
  if (slot < 0) {
    if (thread == 0u && row < ${rows}u) { ${tokens!.name}[row] = -1; }
    return;
  }
  if (thread < 6u) { setting[thread] = ${settings!.at('u32(slot) * 6u + thread')}; }
  let chosen = workgroupUniformLoad(&setting);
  let temperature = chosen[0];
  let first = row * ${vocabulary}u;
  var top = Best(never, ${vocabulary}u);
  for (var part = thread; part < ${parts}u; part += ${threads}u) {
    let at = ${firstPart} + 4u * part;
    top = better(top, Best(${scratch}[at], u32(${scratch}[at + 1u])));
  }
  top = best_of(top, thread);
  if (top.score == never) {
    if (thread == 0u) { ${tokens!.name}[row] = -1; }
    return;
  }
  if (temperature <= 0.0) {
    if (thread == 0u) { ${tokens!.name}[row] = i32(top.token); }
    return;
  }
  var sum = 0.0;
  var far = 0.0;
  for (var part = thread; part < ${parts}u; part += ${threads}u) {
    let at = ${firstPart} + 4u * part;
    if (${scratch}[at] != never) {
      sum += ${scratch}[at + 3u] * share_of(distance_of(${scratch}[at], top.score));
      far = max(far, distance_of(${scratch}[at + 2u], top.score));
    }
  }
  let total = total_of(sum, thread);
  let row_of = Row(first, top.score, 1.0 / max(farthest_of(far, thread), 1e-30));
  let seed = bitcast<u32>(${random!.at('2u * u32(slot)')});
  let position = bitcast<u32>(${random!.at('2u * u32(slot) + 1u')});
  let top_k = u32(clamp(chosen[2], 0.0, 1e9));
  let wanted = u32(chosen[1] * ${2 ** 30}.0);
  let scale = ${2 ** 30}.0 / total;
  var winner = Best(never, ${vocabulary}u);
  var is_drawn = false;
  if (top_k == 0u && chosen[1] < 1.0) {
    var found = level_0(Found(0u, 0u), row_of, wanted, scale, thread);
    if (thread == 0u) { atomicStore(&noted_count, 0u); }
    workgroupBarrier();
    ${everyToken(
      threads,
      vocabulary,
      scratch,
      wgsl`
      let bin = key_of(distance, row_of.reach) >> ${levels[0]!.shift}u;
      if (distance < endless && bin < found.key) { winner = better(winner, racer(i, distance, temperature, seed, position)); }
      if (distance < endless && bin == found.key) {
        let place = atomicAdd(&noted_count, 1u);
        if (place < ${threads}u) { noted[place] = i; }
      }`,
    )}
    workgroupBarrier();
    if (thread == 0u) { count_of_noted = atomicLoad(&noted_count); }
    let count = workgroupUniformLoad(&count_of_noted);
    if (count <= ${threads}u) {
      is_drawn = true;
      // The best is noted always; were nothing, any token would do, as none takes part.
      let i = min(noted[min(thread, max(count, 1u) - 1u)], ${vocabulary - 1}u);
      let distance = distance_of(${scratch}[first + i], top.score);
      let key = key_of(distance, row_of.reach);
      ${levels
        .slice(1)
        .map(
          ({ left, shift }) => wgsl`atomicStore(&bins[thread], 0u);
      workgroupBarrier();
      if (thread < count && (key >> ${left}u) == found.key) {
        atomicAdd(&bins[(key >> ${shift}u) & ${2 ** (left - shift) - 1}u], share_in(distance, scale));
      }
      workgroupBarrier();
      found = bin_of(found, wanted, ${left - shift}u, thread);`,
        )
        .join('\n      ')}
      if (thread < count && key <= found.key) { winner = better(winner, racer(i, distance, temperature, seed, position)); }
    } else {
      winner = Best(never, ${vocabulary}u);
    }
  }
  if (!is_drawn) {
    // The largest key that stays; and of those with just this key, how many of the first.
    var limit = ${2 ** keyBits - 1}u;
    var ties = ${vocabulary}u;
    if (chosen[1] < 1.0) { limit = find(row_of, wanted, scale, thread).key; }
    if (top_k > 0u) {
      let nearest = find(row_of, top_k, 0.0, thread);
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
          let distance = distance_of(${scratch}[first + i], top.score);
          // What is never drawn has the key of the farthest and takes no place.
          equals += select(0.0, 1.0, distance < endless && key_of(distance, row_of.reach) == limit);
        }
        if (u32(total_of(equals, thread)) >= ties) { high = middle; } else { low = middle + 1u; }
      }
      last = low;
    }
    ${everyToken(
      threads,
      vocabulary,
      scratch,
      wgsl`
      let key = key_of(distance, row_of.reach);
      if (distance < endless && (key < limit || (key == limit && i <= last))) {
        winner = better(winner, racer(i, distance, temperature, seed, position));
      }`,
    )}
  }
  let drawn = best_of(winner, thread).token;
  if (thread == 0u) { ${tokens!.name}[row] = i32(drawn); }`,
        }),
      },
      {
        grid: gridOf(rows * parts),
        threads: ownThreads,
        source: ({ inputs: [, slots, settings, , counts], outputs: [tokens, next] }) => ({
          module: slotOfRow(slots!, rows, slotCount),
          main: wgsl`
  let row = ${flatGroup} / ${parts}u;
  let slot = slot_of(row, thread);
  if (slot < 0) { return; }
  let drawn = ${tokens!.name}[row];
  if (drawn < 0) { return; }
  let decay = ${settings!.at('u32(slot) * 6u + 5u')};
  ${own
    .map(
      (
        e,
      ) => wgsl`let i_${e} = (${flatGroup} % ${parts}u) * ${ownTokens}u + thread + ${e * ownThreads}u;
  if (i_${e} < ${vocabulary}u) {
    let at = u32(slot) * ${vocabulary}u + i_${e};
    let before = ${next!.name}[at];
    var occurrence = select(before * decay, before, before == -1.0);
    if (i_${e} == u32(drawn)) { occurrence = max(occurrence, 0.0) + ${counts!.at(`i_${e}`)}; }
    if (occurrence != before) { ${next!.name}[at] = occurrence; }
  }`,
    )
    .join('\n  ')}`,
        }),
      },
    ],
  };
};

/** A level of histograms: bits of a key that were left before it, and that are left after. */
interface Level {
  readonly left: number;
  readonly shift: number;
}

/** The levels with a bin for each thread. */
function levelsOf(threads: number): readonly Level[] {
  const levels: Level[] = [];
  for (let left = keyBits; left > 0; left = levels.at(-1)!.shift) {
    levels.push({ left, shift: Math.max(0, left - Math.log2(threads)) });
  }
  return levels;
}

/**
 * `fn slot_of(row: u32, thread: u32) -> i32`: the slot that a row draws for, the same for the work group; −1 for none,
 * and for a number that is no slot.
 */
function slotOfRow(slots: Argument, rows: number, count: number): string {
  return wgsl`
var<workgroup> slot_of_row: i32;
fn slot_of(row: u32, thread: u32) -> i32 {
  if (thread == 0u) {
    slot_of_row = -1;
    if (row < ${rows}u && ${slots.at('row')} < ${count}) { slot_of_row = ${slots.at('row')}; }
  }
  return workgroupUniformLoad(&slot_of_row);
}`;
}

/** Every token of a row's vocabulary, `i`, with its `distance`. */
function everyToken(threads: number, vocabulary: number, scratch: string, body: string): string {
  const each = (text: (u: number) => string): string =>
    Array.from({ length: together }, (_, u) => text(u)).join('\n      ');
  return wgsl`
    for (var start = thread; start < ${vocabulary}u; start += ${together * threads}u) {
      ${each((u) => `let v${u} = ${scratch}[row_of.first + min(start + ${u * threads}u, ${vocabulary - 1}u)];`)}
      ${each((u) => `{ let i = start + ${u * threads}u; if (i < ${vocabulary}u) { let distance = distance_of(v${u}, row_of.best); ${body} } }`)}
    }`;
}

/** Scores and what a work group finds of its threads' ones. */
function scores(threads: number): string {
  const tree = (array: string, join: (a: string, b: string) => string): string => wgsl`
  workgroupBarrier();
  for (var half = ${threads / 2}u; half > 0u; half >>= 1u) {
    if (thread < half) { ${array}[thread] = ${join(`${array}[thread]`, `${array}[thread + half]`)}; }
    workgroupBarrier();
  }`;
  return wgsl`
struct Best { score: f32, token: u32 }
// Lower than any score, and farther than any distance; both finite, as WebGPU promises little of infinity.
const never = -3.4e38f;
const endless = 3.0e38f;
var<workgroup> sums: array<f32, ${threads}>;
var<workgroup> bests: array<Best, ${threads}>;
// How far a score is from the best, at least 0.
fn distance_of(score: f32, best: f32) -> f32 {
  return select(select(best - score, 0.0, score == best), endless, score == never);
}
// Some drivers give no number for the exponential of what is far below 0.
fn share_of(distance: f32) -> f32 { return exp(-min(distance, 80.0)); }
fn better(a: Best, b: Best) -> Best {
  if (b.score > a.score || (b.score == a.score && b.token < a.token)) { return b; }
  return a;
}
fn best_of(own: Best, thread: u32) -> Best {
  bests[thread] = own;${tree('bests', (a, b) => `better(${a}, ${b})`)}
  return workgroupUniformLoad(&bests[0]);
}
fn total_of(own: f32, thread: u32) -> f32 {
  sums[thread] = own;${tree('sums', (a, b) => `${a} + ${b}`)}
  return workgroupUniformLoad(&sums[0]);
}
fn farthest_of(own: f32, thread: u32) -> f32 {
  sums[thread] = own;${tree('sums', (a, b) => `max(${a}, ${b})`)}
  return workgroupUniformLoad(&sums[0]);
}
`;
}

/** Thresholds and the race. */
function draws(threads: number, vocabulary: number, scratch: string): string {
  const levels = levelsOf(threads);
  return wgsl`
// Where a row begins in the working memory, its best score, and what makes distances parts of the farthest.
struct Row { first: u32, best: f32, reach: f32 }
// A key, or its first bits, and the sum of what is nearer.
struct Found { key: u32, before: u32 }
var<workgroup> setting: array<f32, 6>;
var<workgroup> bins: array<atomic<u32>, ${threads}>;
var<workgroup> running: array<u32, ${threads}>;
var<workgroup> chosen_bin: Found;
var<workgroup> noted: array<u32, ${threads}>;
var<workgroup> noted_count: atomic<u32>;
var<workgroup> count_of_noted: u32;
fn key_of(distance: f32, reach: f32) -> u32 {
  return u32(min(distance * reach, 1.0) * ${2 ** keyBits - 128}.0);
}
// A token's share in whole numbers; with scale 0 every token counts once.
fn share_in(distance: f32, scale: f32) -> u32 {
  return select(u32(share_of(distance) * scale + 0.5), 1u, scale == 0.0);
}
// The bin in which the sum reaches what is wanted; the last that holds anything, where it never does.
fn bin_of(found: Found, wanted: u32, width: u32, thread: u32) -> Found {
  let own = atomicLoad(&bins[thread]);
  running[thread] = own;
  if (thread == 0u) { chosen_bin = Found(found.key << width, found.before); }
  workgroupBarrier();
  for (var step = 1u; step < ${threads}u; step <<= 1u) {
    var before = 0u;
    if (thread >= step) { before = running[thread - step]; }
    workgroupBarrier();
    running[thread] += before;
    workgroupBarrier();
  }
  let end = found.before + running[thread];
  let all = found.before + running[${threads - 1}u];
  let goal = min(wanted, all);
  if (own > 0u && end >= goal && end - own < goal) { chosen_bin = Found((found.key << width) | thread, end - own); }
  return workgroupUniformLoad(&chosen_bin);
}
${levels
  .map(
    ({ left, shift }, index) => wgsl`
fn level_${index}(found: Found, row_of: Row, wanted: u32, scale: f32, thread: u32) -> Found {
  atomicStore(&bins[thread], 0u);
  workgroupBarrier();
  ${everyToken(
    threads,
    vocabulary,
    scratch,
    wgsl`
      let key = key_of(distance, row_of.reach);
      // Only what lies in the bin that was found; at the first level everything does.
      if (distance < endless && ${left === keyBits ? 'true' : `(key >> ${left}u) == found.key`}) {
        atomicAdd(&bins[(key >> ${shift}u) & ${2 ** (left - shift) - 1}u], share_in(distance, scale));
      }`,
  )}
  workgroupBarrier();
  return bin_of(found, wanted, ${left - shift}u, thread);
}`,
  )
  .join('')}
// The least key within which shares (times a scale) or, with scale 0, tokens add up to what is wanted.
fn find(row_of: Row, wanted: u32, scale: f32, thread: u32) -> Found {
  var found = Found(0u, 0u);
  ${levels.map((_, index) => `found = level_${index}(found, row_of, wanted, scale, thread);`).join(' ')}
  return found;
}
// What a token brings to the race.
fn racer(i: u32, distance: f32, temperature: f32, seed: u32, position: u32) -> Best {
  return Best(gumbel(random_bits(seed, position, i)) - distance / temperature, i);
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
