import type { Argument } from '../argument.ts';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import { checkpointsInTurns } from './checkpoints.ts';
import { offsetAt } from './sequences.ts';

/**
 * The recurrences of RWKV-5 and 6: y = r · (S + (bonus ⊙ k) vᵀ), S ← decay ⊙ S + k vᵀ, S [key, value].
 * A work group for each head of a slot walks the sequence; thread j holds column j of the matrix. One
 * further work group for each head clears the padding rows.
 *
 * @param decayByToken whether the decay is [tokens, width] or [heads, headSize]
 */
const forward =
  (decayByToken: boolean): KernelMaker =>
  ({ inputs }) => {
    const tokens = inputs[0]!.shape[0]!;
    const [slots, heads, n] = inputs[5]!.shape as [number, number, number];
    const width = heads * n;
    return {
      passes: [
        {
          grid: gridOf((slots + 1) * heads),
          threads: n,
          source: ({ inputs: all, outputs: [y, next] }) => {
            const [r, k, v] = all;
            const [decay, bonus] = [all[3]!, all[4]!];
            const [state, offsets] = [all[5]!, all[6]!];
            return {
              module: wgsl`
var<workgroup> r_of: array<f32, ${n}>;
var<workgroup> k_of: array<f32, ${n}>;
var<workgroup> decay_of: array<f32, ${n}>;
var<workgroup> bonus_of: array<f32, ${n}>;
var<workgroup> bounds: vec2u;`,
              main: wgsl`
  let part = ${flatGroup};
  if (part >= ${(slots + 1) * heads}u) { return; }
  let slot = part / ${heads}u;
  let head = part % ${heads}u;
  let channel = head * ${n}u + thread;
  if (slot == ${slots}u) {
    for (var t = ${offsetAt(offsets, 'slot', tokens)}; t < ${tokens}u; t++) { ${y!.name}[t * ${width}u + channel] = 0.0; }
    return;
  }
  if (thread == 0u) { bounds = vec2u(${offsetAt(offsets, 'slot', tokens)}, ${offsetAt(offsets, 'slot + 1u', tokens)}); }
  let range = workgroupUniformLoad(&bounds);
  let first = part * ${n * n}u + thread;
  var column: array<f32, ${n}>;
  for (var i = 0u; i < ${n}u; i++) { column[i] = ${state.at(`first + i * ${n}u`)}; }
  bonus_of[thread] = ${bonus.at('channel')};
  ${decayByToken ? '' : `decay_of[thread] = ${decay.at('channel')};`}
  for (var t = range.x; t < range.y; t++) {
    let place = t * ${width}u + channel;
    r_of[thread] = ${r!.at('place')};
    k_of[thread] = ${k!.at('place')};
    ${decayByToken ? `decay_of[thread] = ${decay.at('place')};` : ''}
    let value = ${v!.at('place')};
    workgroupBarrier();
    var sum = 0.0;
    for (var i = 0u; i < ${n}u; i++) {
      let entering = k_of[i] * value;
      sum += r_of[i] * (column[i] + bonus_of[i] * entering);
      column[i] = decay_of[i] * column[i] + entering;
    }
    workgroupBarrier();
    ${y!.name}[place] = sum;
  }
  for (var i = 0u; i < ${n}u; i++) { ${next!.name}[first + i * ${n}u] = column[i]; }`,
            };
          },
        },
      ],
    };
  };

/**
 * Their gradients (formulas: diagonal-backward.ts of core). A work group for each head walks all slots:
 * forwards, thread j leaves column j of every so many matrices in the working memory (checkpoints.ts); then
 * backwards part by part, where those of the part are computed again from the one that was kept. Sums along the
 * key channels have a thread for each value channel, and the other way round.
 *
 * Working memory of a head: the gradient of the matrix [n, n], checkpoints, and the matrices of a part.
 */
const backward =
  (decayByToken: boolean): KernelMaker =>
  ({ inputs }) => {
    const [, tokens, width] = inputs[0]!.shape as [number, number, number];
    const [slots, heads, n] = inputs[2]!.shape as [number, number, number];
    const rows = tokens * width;
    const { every, count } = checkpointsInTurns(tokens);
    const perHead = (1 + count + every) * n * n;
    const cotangent = decayByToken ? 4 : 3;
    // From element (i, thread) of the matrix before token t to that of the one after it.
    const advance = (x: Argument, vectors: Argument): string => wgsl`
        let row = t * ${width}u + head * ${n}u;
        old = ${decayByToken ? x.at(`${3 * rows}u + row + i`) : vectors.at(`head * ${n}u + i`)} * old + ${x.at(`${rows}u + row + i`)} * ${x.at(`${2 * rows}u + row + thread`)};`;
    return {
      scratchBytes: 4 * heads * perHead,
      passes: [
        {
          grid: gridOf(heads),
          threads: n,
          source: ({
            inputs: [x, vectors, state, offsets, flow],
            outputs: [dx, dvectors, dstate],
            scratch,
          }) => ({
            module: wgsl`
var<workgroup> r_of: array<f32, ${n}>;
var<workgroup> k_of: array<f32, ${n}>;
var<workgroup> v_of: array<f32, ${n}>;
var<workgroup> g_of: array<f32, ${n}>;
var<workgroup> decay_of: array<f32, ${n}>;
var<workgroup> bonus_of: array<f32, ${n}>;
var<workgroup> bounds: vec2u;`,
            main: wgsl`
  let head = ${flatGroup};
  if (head >= ${heads}u) { return; }
  let channel = head * ${n}u + thread;
  let own = head * ${perHead}u;
  let kept = own + ${n * n}u;
  let part_first = kept + ${count * n * n}u;
  ${
    decayByToken
      ? `bonus_of[thread] = ${vectors!.at('channel')};`
      : `decay_of[thread] = ${vectors!.at('channel')};
  bonus_of[thread] = ${vectors!.at(`${width}u + channel`)};`
  }
  var ofDecay = 0.0;
  var ofBonus = 0.0;
  for (var slot = 0u; slot < ${slots}u; slot++) {
    workgroupBarrier();
    if (thread == 0u) { bounds = vec2u(${offsetAt(offsets!, 'slot', tokens)}, ${offsetAt(offsets!, 'slot + 1u', tokens)}); }
    let range = workgroupUniformLoad(&bounds);
    let matrix = (slot * ${heads}u + head) * ${n * n}u;
    for (var i = 0u; i < ${n}u; i++) {
      let at = i * ${n}u + thread;
      ${scratch}[own + at] = ${flow!.at('matrix + at')};
      var old = ${state!.at('matrix + at')};
      for (var t = range.x; t < range.y; t++) {
        if ((t - range.x) % ${every}u == 0u) { ${scratch}[kept + (t - range.x) / ${every}u * ${n * n}u + at] = old; }${advance(x!, vectors!)}
      }
    }
    var end = range.y;
    for (var t = range.y; t > range.x;) {
      if (t == end) {
        // A part begins: its matrices, from the one that was kept.
        let begin = range.x + (t - 1u - range.x) / ${every}u * ${every}u;
        for (var i = 0u; i < ${n}u; i++) {
          let at = i * ${n}u + thread;
          var old = ${scratch}[kept + (begin - range.x) / ${every}u * ${n * n}u + at];
          for (var t = begin; t < end; t++) {
            ${scratch}[part_first + (t - begin) * ${n * n}u + at] = old;${advance(x!, vectors!)}
          }
        }
        storageBarrier();
        end = begin;
      }
      t--;
      let place = t * ${width}u + channel;
      let before = part_first + (t - end) * ${n * n}u;
      workgroupBarrier();
      r_of[thread] = ${x!.at('place')};
      k_of[thread] = ${x!.at(`${rows}u + place`)};
      v_of[thread] = ${x!.at(`${2 * rows}u + place`)};
      ${decayByToken ? `decay_of[thread] = ${x!.at(`${3 * rows}u + place`)};` : ''}
      g_of[thread] = ${x!.at(`${cotangent * rows}u + place`)};
      workgroupBarrier();
      // Thread j: value channel j.
      var ofValue = 0.0;
      for (var i = 0u; i < ${n}u; i++) {
        ofValue += ${scratch}[own + i * ${n}u + thread] * k_of[i] + r_of[i] * bonus_of[i] * k_of[i] * g_of[thread];
      }
      ${dx!.name}[${2 * rows}u + place] = ofValue;
      // Thread i: key channel i.
      var valueFlow = 0.0;
      var ofReceptance = 0.0;
      var ofKey = 0.0;
      var ofRow = 0.0;
      for (var j = 0u; j < ${n}u; j++) {
        let old = ${scratch}[before + thread * ${n}u + j];
        let flowing = ${scratch}[own + thread * ${n}u + j];
        valueFlow += v_of[j] * g_of[j];
        ofReceptance += old * g_of[j];
        ofKey += flowing * v_of[j];
        ofRow += flowing * old;
      }
      storageBarrier();
      for (var j = 0u; j < ${n}u; j++) {
        let at = own + thread * ${n}u + j;
        ${scratch}[at] = decay_of[thread] * ${scratch}[at] + r_of[thread] * g_of[j];
      }
      storageBarrier();
      ${dx!.name}[place] = ofReceptance + bonus_of[thread] * k_of[thread] * valueFlow;
      ${dx!.name}[${rows}u + place] = ofKey + bonus_of[thread] * r_of[thread] * valueFlow;
      ${decayByToken ? `${dx!.name}[${3 * rows}u + place] = ofRow;` : 'ofDecay += ofRow;'}
      ofBonus += r_of[thread] * k_of[thread] * valueFlow;
    }
    for (var i = 0u; i < ${n}u; i++) {
      ${dstate!.name}[matrix + i * ${n}u + thread] = ${scratch}[own + i * ${n}u + thread];
    }
    storageBarrier();
  }
  ${
    decayByToken
      ? `${dvectors!.name}[channel] = ofBonus;`
      : `${dvectors!.name}[channel] = ofDecay;
  ${dvectors!.name}[${width}u + channel] = ofBonus;`
  }
  for (var t = ${offsetAt(offsets!, `${slots}u`, tokens)}; t < ${tokens}u; t++) {
    for (var part = 0u; part < ${cotangent}u; part++) { ${dx!.name}[part * ${rows}u + t * ${width}u + channel] = 0.0; }
  }`,
          }),
        },
      ],
    };
  };

/** Kernels by the name of their operation. */
export const wkv56Kernels: Readonly<Record<string, KernelMaker>> = {
  wkv5: forward(false),
  wkv6: forward(true),
  wkv5Backward: backward(false),
  wkv6Backward: backward(true),
};
