import {
  add,
  linear,
  linearOfSparse,
  linearSquaredRelu,
  normShiftMix,
  reshape,
  timeMix7Project,
  timeMix7Raise,
  timeMix7Recur,
} from '@rwkv-js/core';
import { tensor, type HostTensor, type Value } from '@rwkv-js/tensor';
import { input, state, type ConformanceCase } from './case.ts';
import { RandomTensors } from './random-tensor.ts';

const random = new RandomTensors(22);
// Wide enough for the layouts that devices give to parameters, which states must not be read in.
const [width, hidden, heads, headSize] = [32, 40, 4, 8];
const ranks = { w: 4, a: 6, v: 2, g: 8 };
const totalRank = 20;
/** Sequences of 3, 0, 1 and 7 tokens, and rows of padding after them. */
const [offsets, tokens, slots] = [[0, 3, 3, 4, 11], 13, 4];

const vector = (least?: number, most?: number): HostTensor => random.floats([width], least, most);
const matrix = (out: number, inner: number): HostTensor => random.floats([out, inner], -0.4, 0.4);
const rows = (): HostTensor => random.floats([tokens, width]);

/** What the half before left, and layer 0's values. */
const inputs = {
  x: rows(),
  delta: rows(),
  firstValue: rows(),
  offsets: tensor([slots + 1], offsets, 'i32'),
};

const states = {
  timeShift: random.floats([slots, width]),
  wkv: random.floats([slots, heads, headSize, headSize]),
  channelShift: random.floats([slots, width]),
};

const weights = {
  timeNormWeight: vector(0.5, 1.5),
  timeNormBias: vector(),
  timeMixes: random.floats([6, width], 0, 1),
  receptance: matrix(width, width),
  key: matrix(width, width),
  value: matrix(width, width),
  down: matrix(totalRank, width),
  up: matrix(totalRank, width),
  biases: random.floats([3, width]),
  vectors: random.floats([5, width], 0.2, 1),
  output: matrix(width, width),
  channelNormWeight: vector(0.5, 1.5),
  channelNormBias: vector(),
  channelMixes: random.floats([1, width], 0, 1),
  channelKey: matrix(hidden, width),
  channelValue: matrix(width, hidden),
};

const all = { ...inputs, ...states, ...weights };
type Values = Readonly<Record<keyof typeof all, Value>>;

/** Gives the residual stream and the three states; of a layer above the first, as `language` records it. */
function block(of: Values): readonly Value[] {
  const [x, mixed, timeShift] = normShiftMix(
    [of.x, of.timeNormWeight, of.timeNormBias, of.timeMixes, of.timeShift, of.offsets, of.delta],
    { epsilon: 1e-5 },
  );
  const [r, k, ownValue, low] = timeMix7Project(
    mixed,
    of.receptance,
    of.key,
    of.value,
    of.down,
    ranks,
  );
  const [decay, rate, v, gate] = timeMix7Raise(
    [low, of.up, of.biases, ownValue, of.firstValue],
    ranks,
  );
  const epsilon = { epsilon: 64e-5 };
  const [y, wkv] = timeMix7Recur(
    r,
    decay,
    k,
    v,
    rate,
    gate,
    of.vectors,
    of.wkv,
    of.offsets,
    epsilon,
  );
  const delta = linear(y, of.output);
  const [settled, channelMixed, channelShift] = normShiftMix(
    [
      x,
      of.channelNormWeight,
      of.channelNormBias,
      of.channelMixes,
      of.channelShift,
      of.offsets,
      delta,
    ],
    { epsilon: 1e-5 },
  );
  const mixedRows = reshape(channelMixed, { shape: [tokens, width] });
  const left = linearOfSparse(linearSquaredRelu(mixedRows, of.channelKey), of.channelValue);
  return [add(settled, left), timeShift, wkv, channelShift];
}

/**
 * One whole RWKV-7 block as training has it: its weights are states, f32, so nothing is computed from
 * them at load. Specification: RWKV-7, block.
 */
export const block7: ConformanceCase = {
  op: 'RWKV-7 block',
  name: 'trainable, four sequences, one empty, with padding',
  tolerance: 'recurrence',
  tensors: [
    ...Object.values(inputs).map(input),
    ...Object.values({ ...states, ...weights }).map(state),
  ],
  build: (...values) =>
    block(Object.fromEntries(Object.keys(all).map((name, i) => [name, values[i]!])) as Values),
  updates: Object.keys(states).map((name, i) => [i + 1, Object.keys(all).indexOf(name)] as const),
};
