import { timeMix7Recur, wkv7 } from '@rwkv-js/core';
import { tensor, type HostTensor } from '@rwkv-js/tensor';
import { input, parameter, state, type ConformanceCase } from './case.ts';
import { RandomTensors } from './random-tensor.ts';

const random = new RandomTensors(24);

/** Sequences that begin, and end, anywhere in the chunks that a device may cut them into. */
const lengths = [19, 0, 131, 16, 1, 97];
const padding = 6;
const slots = lengths.length;
const tokens = lengths.reduce((sum, length) => sum + length, padding);

/** What decays lie between. The least that RWKV-7 has is exp(−exp(−0.5)). */
const decays = [
  ['of a model', 0.5453, 0.9999],
  ['all at their least', 0.54526, 0.5454],
  ['far below those of a model', 2e-4, 0.5],
] as const;

/** Recurrences of RWKV-7 over sequences of many tokens, by channels of a head. */
export const longCases: readonly ConformanceCase[] = [16, 32, 64].flatMap((n) =>
  (n === 16 ? decays : decays.slice(0, 1)).flatMap(([which, least, most]) => {
    const heads = n === 16 ? 3 : 2;
    const width = heads * n;
    const rows = (from = -1, to = 1): ConformanceCase['tensors'][number] =>
      input(random.floats([tokens, width], from, to));
    let at = 0;
    const offsets: HostTensor = tensor(
      [slots + 1],
      [0, ...lengths.map((length) => (at += length))],
      'i32',
    );
    const matrices = (): ConformanceCase['tensors'][number] =>
      state(random.floats([slots, heads, n, n]));
    const range = 1.2 / Math.sqrt(n);
    const name = `long sequences, heads of ${n}, decays ${which}`;
    return [
      {
        op: 'wkv7',
        name,
        tolerance: 'recurrence',
        tensors: [
          rows(),
          rows(least, most),
          rows(),
          rows(),
          rows(-range, range),
          rows(-range, range),
          matrices(),
          input(offsets),
        ],
        build: (r, decay, k, v, a, b, kept, starts) =>
          wkv7(r!, decay!, k!, v!, a!, b!, kept!, starts!),
        updates: [[-1, 6]],
      },
      {
        op: 'timeMix7Recur',
        name,
        tolerance: 'recurrence',
        tensors: [
          rows(),
          rows(least, most),
          rows(),
          rows(),
          rows(0, 1),
          rows(),
          parameter(random.floats([5, width])),
          matrices(),
          input(offsets),
        ],
        build: (r, decay, k, v, rate, gate, vectors, kept, starts) =>
          timeMix7Recur(r!, decay!, k!, v!, rate!, gate!, vectors!, kept!, starts!, {
            epsilon: 64e-5,
          }),
        updates: [[-1, 7]],
      },
    ] satisfies ConformanceCase[];
  }),
);
