import type { Kernel, KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import { checkpointsOfSlots } from './checkpoints.ts';
import { offsetAt } from './sequences.ts';
import {
  chunkedScratch,
  chunkedTraffic,
  prepareChunks,
  preparingGrid,
  takesChunks,
  typesOf,
  walkChunks,
  walkingGrid,
  type ChunkedRecurrence,
} from './wkv7-chunks.wgsl.ts';

/**
 * The recurrence of RWKV-7 alone: S ← S diag(decay) + (S a) bᵀ + v kᵀ, y = S r, S [value, key]. A work
 * group for each head of a slot walks the sequence; thread i holds row i of the matrix. One further work
 * group for each head clears the padding rows. Models run `timeMix7Recur`; this serves training.
 */
const wkv7: KernelMaker = ({ inputs }, capabilities) => {
  const tokens = inputs[0]!.shape[0]!;
  const [slots, heads, n] = inputs[6]!.shape as [number, number, number];
  const width = heads * n;
  const sizes = { tokens, slots, heads, n };
  const plain = inputs.every(({ dtype }, i) => i === 7 || dtype === 'f32');
  if (plain && takesChunks(sizes, capabilities)) return inChunks(sizes);
  return {
    passes: [
      {
        grid: gridOf((slots + 1) * heads),
        threads: n,
        source: ({ inputs: [r, decay, k, v, a, b, state, offsets], outputs: [y, next] }) => ({
          module: wgsl`
var<workgroup> r_of: array<f32, ${n}>;
var<workgroup> decay_of: array<f32, ${n}>;
var<workgroup> k_of: array<f32, ${n}>;
var<workgroup> a_of: array<f32, ${n}>;
var<workgroup> b_of: array<f32, ${n}>;
var<workgroup> bounds: vec2u;`,
          main: wgsl`
  let part = ${flatGroup};
  if (part >= ${(slots + 1) * heads}u) { return; }
  let slot = part / ${heads}u;
  let channel = (part % ${heads}u) * ${n}u + thread;
  if (slot == ${slots}u) {
    for (var t = ${offsetAt(offsets!, 'slot', tokens)}; t < ${tokens}u; t++) { ${y!.name}[t * ${width}u + channel] = 0.0; }
    return;
  }
  if (thread == 0u) { bounds = vec2u(${offsetAt(offsets!, 'slot', tokens)}, ${offsetAt(offsets!, 'slot + 1u', tokens)}); }
  let range = workgroupUniformLoad(&bounds);
  let first = (part * ${n}u + thread) * ${n}u;
  var row: array<f32, ${n}>;
  for (var j = 0u; j < ${n}u; j++) { row[j] = ${state!.at('first + j')}; }
  for (var t = range.x; t < range.y; t++) {
    let place = t * ${width}u + channel;
    r_of[thread] = ${r!.at('place')};
    decay_of[thread] = ${decay!.at('place')};
    k_of[thread] = ${k!.at('place')};
    a_of[thread] = ${a!.at('place')};
    b_of[thread] = ${b!.at('place')};
    let value = ${v!.at('place')};
    workgroupBarrier();
    var read = 0.0;
    for (var j = 0u; j < ${n}u; j++) { read += row[j] * a_of[j]; }
    var sum = 0.0;
    for (var j = 0u; j < ${n}u; j++) {
      row[j] = row[j] * decay_of[j] + read * b_of[j] + value * k_of[j];
      sum += row[j] * r_of[j];
    }
    workgroupBarrier();
    ${y!.name}[place] = sum;
  }
  for (var j = 0u; j < ${n}u; j++) { ${next!.name}[first + j] = row[j]; }`,
        }),
      },
    ],
  };
};

/** The same in chunks, where that pays. */
function inChunks(sizes: ChunkedRecurrence): Kernel {
  const names = ['r', 'decay', 'k', 'v', 'a', 'b'];
  return {
    scratchBytes: chunkedScratch(sizes),
    again: chunkedTraffic(sizes),
    passes: [
      {
        ...preparingGrid(sizes),
        uses: { arguments: [0, 1, 2, 3, 4, 5, 7], scratch: 'f32' },
        types: typesOf([0, 1, 2, 4, 5]),
        source: ({ inputs: all, scratch }) =>
          prepareChunks(sizes, {
            offsets: all[7]!,
            scratch,
            v: all[3]!,
            load: names
              .map((name, i) => (name === 'v' ? '' : `${name} = ${all[i]!.name}[at];`))
              .join(' '),
          }),
      },
      {
        ...walkingGrid(sizes),
        uses: { arguments: [3, 6, 7, 8, 9], scratch: 'vec4<f32>' },
        types: typesOf([6, 9]),
        source: ({ inputs: all, outputs: [y, next], scratch }) =>
          walkChunks(sizes, {
            offsets: all[7]!,
            scratch,
            v: all[3]!,
            state: all[6]!,
            y: y!,
            next: next!,
          }),
      },
    ],
  };
}

/**
 * Its gradients (formulas: wkv7-backward.ts of core). A work group for each head of a slot: forwards, thread
 * i leaves row i of every so many matrices in the working memory (checkpoints.ts); then backwards part by part,
 * where those of the part are computed again from the one that was kept, with the gradient of the matrix where
 * the old state's goes. Sums along a row have a thread for each row, sums along a column one for each column.
 *
 * Working memory: [checkpoints, heads, n, n], then [slots, heads, tokens of a part, n, n].
 */
const wkv7Backward: KernelMaker = ({ inputs }) => {
  const [, tokens, width] = inputs[0]!.shape as [number, number, number];
  const [slots, heads, n] = inputs[1]!.shape as [number, number, number];
  const rows = tokens * width;
  const { every, count } = checkpointsOfSlots(tokens, slots);
  const parts = count * heads * n * n;
  return {
    scratchBytes: Math.max(4, 4 * (parts + slots * heads * every * n * n)),
    passes: [
      {
        grid: gridOf((slots + 1) * heads),
        threads: n,
        source: ({ inputs: [x, state, offsets, flow], outputs: [dx, dstate], scratch }) => {
          const of = (part: number, place: string): string => x!.at(`${part * rows}u + ${place}`);
          const names = ['r', 'decay', 'k', 'v', 'a', 'b', 'g'];
          // From the matrix before token t to the one after it; its row goes to `place` where asked.
          const advance = (place: string): string => wgsl`
    let at = t * ${width}u + head * ${n}u;
    let value = ${of(3, 'at + thread')};
    var read = 0.0;
    for (var j = 0u; j < ${n}u; j++) {
      ${place === '' ? '' : `${scratch}[${place} + j] = row[j];`}
      read += row[j] * ${of(4, 'at + j')};
    }
    for (var j = 0u; j < ${n}u; j++) {
      row[j] = row[j] * ${of(1, 'at + j')} + read * ${of(5, 'at + j')} + value * ${of(2, 'at + j')};
    }`;
          return {
            module: `${names.map((name) => `var<workgroup> ${name}_of: array<f32, ${n}>;`).join('\n')}
var<workgroup> read_of: array<f32, ${n}>;
var<workgroup> flow_of: array<f32, ${n}>;
var<workgroup> bounds: vec2u;`,
            main: wgsl`
  let part = ${flatGroup};
  if (part >= ${(slots + 1) * heads}u) { return; }
  let slot = part / ${heads}u;
  let head = part % ${heads}u;
  let channel = head * ${n}u + thread;
  if (slot == ${slots}u) {
    for (var t = ${offsetAt(offsets!, 'slot', tokens)}; t < ${tokens}u; t++) {
      for (var each = 0u; each < 6u; each++) { ${dx!.name}[each * ${rows}u + t * ${width}u + channel] = 0.0; }
    }
    return;
  }
  if (thread == 0u) { bounds = vec2u(${offsetAt(offsets!, 'slot', tokens)}, ${offsetAt(offsets!, 'slot + 1u', tokens)}); }
  let range = workgroupUniformLoad(&bounds);
  let matrix = part * ${n * n}u;
  let first = matrix + thread * ${n}u;
  var row: array<f32, ${n}>;
  for (var j = 0u; j < ${n}u; j++) {
    row[j] = ${state!.at('first + j')};
    ${dstate!.name}[first + j] = ${flow!.at('first + j')};
  }
  let kept = ((range.x / ${every}u + slot) * ${heads}u + head) * ${n * n}u + thread * ${n}u;
  let part_first = ${parts}u + part * ${every * n * n}u;
  for (var t = range.x; t < range.y; t++) {
    if ((t - range.x) % ${every}u == 0u) {
      let place = kept + (t - range.x) / ${every}u * ${heads * n * n}u;
      for (var j = 0u; j < ${n}u; j++) { ${scratch}[place + j] = row[j]; }
    }${advance('')}
  }
  var end = range.y;
  for (var t = range.y; t > range.x;) {
    if (t == end) {
      // A part begins: its matrices, from the one that was kept.
      let begin = range.x + (t - 1u - range.x) / ${every}u * ${every}u;
      let place = kept + (begin - range.x) / ${every}u * ${heads * n * n}u;
      for (var j = 0u; j < ${n}u; j++) { row[j] = ${scratch}[place + j]; }
      for (var t = begin; t < end; t++) {
        let before = part_first + (t - begin) * ${n * n}u + thread * ${n}u;${advance('before')}
      }
      storageBarrier();
      end = begin;
    }
    t--;
    let place = t * ${width}u + channel;
    let before = part_first + (t - end) * ${n * n}u;
    workgroupBarrier();
    ${names.map((name, i) => `${name}_of[thread] = ${of(i, 'place')};`).join('\n    ')}
    workgroupBarrier();
    // Thread i: row i.
    var read = 0.0;
    var ofValue = 0.0;
    var ofRead = 0.0;
    for (var j = 0u; j < ${n}u; j++) {
      read += ${scratch}[before + thread * ${n}u + j] * a_of[j];
      let flowing = ${dstate!.name}[first + j] + g_of[thread] * r_of[j];
      ${dstate!.name}[first + j] = flowing;
      ofValue += flowing * k_of[j];
      ofRead += flowing * b_of[j];
    }
    read_of[thread] = read;
    flow_of[thread] = ofRead;
    ${dx!.name}[${3 * rows}u + place] = ofValue;
    workgroupBarrier();
    storageBarrier();
    // Thread j: column j.
    var dr = 0.0;
    var ddecay = 0.0;
    var dk = 0.0;
    var da = 0.0;
    var db = 0.0;
    for (var i = 0u; i < ${n}u; i++) {
      let old = ${scratch}[before + i * ${n}u + thread];
      let at = matrix + i * ${n}u + thread;
      let flowing = ${dstate!.name}[at];
      dr += g_of[i] * (old * decay_of[thread] + read_of[i] * b_of[thread] + v_of[i] * k_of[thread]);
      ddecay += flowing * old;
      dk += flowing * v_of[i];
      db += flowing * read_of[i];
      da += old * flow_of[i];
      ${dstate!.name}[at] = flowing * decay_of[thread] + flow_of[i] * a_of[thread];
    }
    ${dx!.name}[place] = dr;
    ${dx!.name}[${rows}u + place] = ddecay;
    ${dx!.name}[${2 * rows}u + place] = dk;
    ${dx!.name}[${4 * rows}u + place] = da;
    ${dx!.name}[${5 * rows}u + place] = db;
    storageBarrier();
  }`,
          };
        },
      },
    ],
  };
};

/** Kernels by the name of their operation. */
export const wkv7Kernels: Readonly<Record<string, KernelMaker>> = { wkv7, wkv7Backward };
