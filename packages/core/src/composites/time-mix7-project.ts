import { defineOp, type Value } from '@rwkv-js/tensor';
import { concat } from '../ops/concat.ts';
import { linear } from '../ops/linear.ts';
import { reshape } from '../ops/reshape.ts';
import { expectFloats, matrix } from '../ops/shape-rules.ts';
import { slice } from '../ops/slice.ts';
import { lettersOf, partOf, totalRank, type TimeMix7Ranks } from './time-mix7-ranks.ts';

/** The order of the six mixes in `mixed`, that of official checkpoints. */
const mixOrder = ['r', 'w', 'k', 'v', 'a', 'g'] as const;

/**
 * Everything in the time mixing of RWKV-7 that multiplies a mixed row: receptance, key, value, and the
 * down halves of the low-rank maps.
 *
 * mixed: [6, tokens, width], mixes in the order r, w, k, v, a, g; receptance, key, value: [attention
 * width, width]; down: the factors, transposed to [rank, width], one after another in the order w, a,
 * v, g. Results: r, k, v [tokens, attention width], low [tokens, sum of ranks].
 * Specification: RWKV-7, time mix.
 */
export const timeMix7Project = defineOp<
  (
    mixed: Value,
    receptance: Value,
    key: Value,
    value: Value,
    down: Value,
    ranks: TimeMix7Ranks,
  ) => readonly [r: Value, k: Value, v: Value, low: Value]
>({
  name: 'timeMix7Project',
  arguments: ['mixed', 'receptance', 'key', 'value', 'down'],
  infer([mixed, receptance, key, value, down], ranks, fail) {
    const [count, tokens = 0, width = 0] = mixed!.shape;
    if (count !== mixOrder.length) fail('mixed must be [6, tokens, width]');
    expectFloats(mixed!, 'mixed', [count!, tokens, width], '[6, tokens, width]', fail);
    const [attention] = matrix(receptance!, 'receptance', fail);
    for (const [name, spec] of Object.entries({ receptance, key, value })) {
      expectFloats(spec!, name, [attention, width], '[attention width, width]', fail);
    }
    expectFloats(down!, 'down', [totalRank(ranks), width], '[sum of ranks, width]', fail);
    const rows = { dtype: 'f32', shape: [tokens, attention] } as const;
    return [rows, rows, rows, { dtype: 'f32', shape: [tokens, totalRank(ranks)] }];
  },
  lower([mixed, receptance, key, value, down], ranks) {
    const [, tokens, width] = mixed!.shape as [number, number, number];
    const mix = (letter: (typeof mixOrder)[number]): Value => {
      const at = mixOrder.indexOf(letter);
      return reshape(slice(mixed!, { axis: 0, start: at, end: at + 1 }), {
        shape: [tokens, width],
      });
    };
    const low = lettersOf(ranks).map((letter) =>
      linear(mix(letter), partOf(down!, ranks, letter, 0)),
    );
    return [
      linear(mix('r'), receptance!),
      linear(mix('k'), key!),
      linear(mix('v'), value!),
      concat(low, { axis: 1 }),
    ];
  },
});
