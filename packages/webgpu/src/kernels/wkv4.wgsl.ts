import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import { offsetAt } from './sequences.ts';

const threads = 64;

/**
 * The recurrence of RWKV-4: k, v [tokens, width], three states [slots, width]. A thread for each channel
 * of a slot walks its sequence; threads of one further slot clear the padding rows.
 */
const wkv4: KernelMaker = ({ inputs }) => {
  const [tokens, width] = inputs[0]!.shape as [number, number];
  const slots = inputs[4]!.shape[0]!;
  const count = (slots + 1) * width;
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(count / threads)),
        threads,
        source: ({
          inputs: [k, v, decay, bonus, a, b, p, offsets],
          outputs: [y, nextA, nextB, nextP],
        }) => ({
          main: wgsl`
  let i = ${flatGroup} * ${threads}u + thread;
  if (i >= ${count}u) { return; }
  let slot = i / ${width}u;
  let c = i % ${width}u;
  let start = ${offsetAt(offsets!, 'slot', tokens)};
  if (slot == ${slots}u) {
    for (var t = start; t < ${tokens}u; t++) { ${y!.name}[t * ${width}u + c] = 0.0; }
    return;
  }
  let end = ${offsetAt(offsets!, 'slot + 1u', tokens)};
  let logDecay = ${decay!.at('c')};
  let first = ${bonus!.at('c')};
  var numerator = ${a!.at('i')};
  var denominator = ${b!.at('i')};
  var top = ${p!.at('i')};
  for (var t = start; t < end; t++) {
    let key = ${k!.at(`t * ${width}u + c`)};
    let value = ${v!.at(`t * ${width}u + c`)};
    let highest = max(top, first + key);
    let past = exp(top - highest);
    let current = exp(first + key - highest);
    ${y!.name}[t * ${width}u + c] = (past * numerator + current * value) / (past * denominator + current);
    let decayed = top + logDecay;
    let next = max(decayed, key);
    let keep = exp(decayed - next);
    let enter = exp(key - next);
    numerator = keep * numerator + enter * value;
    denominator = keep * denominator + enter;
    top = next;
  }
  ${nextA!.name}[i] = numerator;
  ${nextB!.name}[i] = denominator;
  ${nextP!.name}[i] = top;`,
        }),
      },
    ],
  };
};

/**
 * Its gradients: a thread for each channel walks all slots, forwards to leave the three states before
 * each token in the working memory [3, tokens, width], then backwards.
 */
const wkv4Backward: KernelMaker = ({ inputs }) => {
  const [, tokens, width] = inputs[0]!.shape as [number, number, number];
  const slots = inputs[2]!.shape[1]!;
  const [rows, states] = [tokens * width, slots * width];
  return {
    scratchBytes: Math.max(4, 12 * rows),
    passes: [
      {
        grid: gridOf(Math.ceil(width / threads)),
        threads,
        source: ({
          inputs: [x, vectors, state, offsets, flow],
          outputs: [dx, dvectors, dstate],
          scratch,
        }) => ({
          main: wgsl`
  let c = ${flatGroup} * ${threads}u + thread;
  if (c >= ${width}u) { return; }
  let decay = ${vectors!.at('c')};
  let first = ${vectors!.at(`${width}u + c`)};
  var ofDecay = 0.0;
  var ofBonus = 0.0;
  for (var slot = 0u; slot < ${slots}u; slot++) {
    let at = slot * ${width}u + c;
    let start = ${offsetAt(offsets!, 'slot', tokens)};
    let end = ${offsetAt(offsets!, 'slot + 1u', tokens)};
    var a = ${state!.at('at')};
    var b = ${state!.at(`${states}u + at`)};
    var top = ${state!.at(`${2 * states}u + at`)};
    for (var t = start; t < end; t++) {
      let place = t * ${width}u + c;
      ${scratch}[place] = a;
      ${scratch}[${rows}u + place] = b;
      ${scratch}[${2 * rows}u + place] = top;
      let key = ${x!.at('place')};
      let next = max(top + decay, key);
      let keep = exp(top + decay - next);
      let enter = exp(key - next);
      a = keep * a + enter * ${x!.at(`${rows}u + place`)};
      b = keep * b + enter;
      top = next;
    }
    var fromA = ${flow!.at('at')};
    var fromB = ${flow!.at(`${states}u + at`)};
    for (var t = end; t > start;) {
      t--;
      let place = t * ${width}u + c;
      let key = ${x!.at('place')};
      let value = ${x!.at(`${rows}u + place`)};
      let oldA = ${scratch}[place];
      let oldB = ${scratch}[${rows}u + place];
      let oldTop = ${scratch}[${2 * rows}u + place];
      let next = max(oldTop + decay, key);
      let keep = exp(oldTop + decay - next);
      let enter = exp(key - next);
      ofDecay += keep * (fromA * oldA + fromB * oldB);
      let highest = max(oldTop, first + key);
      let past = exp(oldTop - highest);
      let current = exp(first + key - highest);
      let total = past * oldB + current;
      let y = (past * oldA + current * value) / total;
      let g = ${x!.at(`${2 * rows}u + place`)} / total;
      let ofCurrent = g * current * (value - y);
      ofBonus += ofCurrent;
      ${dx!.name}[place] = enter * (fromA * value + fromB) + ofCurrent;
      ${dx!.name}[${rows}u + place] = enter * fromA + g * current;
      fromA = keep * fromA + past * g;
      fromB = keep * fromB - past * g * y;
    }
    ${dstate!.name}[at] = fromA;
    ${dstate!.name}[${states}u + at] = fromB;
  }
  ${dvectors!.name}[c] = ofDecay;
  ${dvectors!.name}[${width}u + c] = ofBonus;
  for (var t = ${offsetAt(offsets!, `${slots}u`, tokens)}; t < ${tokens}u; t++) {
    ${dx!.name}[t * ${width}u + c] = 0.0;
    ${dx!.name}[${rows}u + t * ${width}u + c] = 0.0;
  }`,
        }),
      },
    ],
  };
};

/** Kernels by the name of their operation. */
export const wkv4Kernels: Readonly<Record<string, KernelMaker>> = { wkv4, wkv4Backward };
