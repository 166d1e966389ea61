import { defineOp, elementCount, type Value } from '@rwkv-js/tensor';
import { floats, type Floats } from './floats.ts';
import { randomBits } from './random.ts';
import { carryState } from './sequences.ts';
import { expectFloats, expectIndexes, expectState, floatMatrix, matrix } from './shape-rules.ts';

/** The columns of `settings`, in order. */
export const sampleSettings = [
  'temperature',
  'topP',
  'topK',
  'presencePenalty',
  'frequencyPenalty',
  'penaltyDecay',
] as const;

/** Settings of one sequence by name; what each does is said at `sample`. */
export type SampleSettings = Readonly<Record<(typeof sampleSettings)[number], number>>;

/** The occurrence of a token that has not been drawn: no penalty is due. */
export const notDrawn = -1;

/**
 * Draws one token for each row of logits, as the official sampler does (specification, sampling):
 *
 * 1. tokens drawn before lose presencePenalty + occurrence · frequencyPenalty;
 * 2. softmax; the nucleus is the likeliest tokens up to the first total ≥ topP; of it the topK
 *    likeliest (0: all) stay;
 * 3. probabilities to the power 1 / temperature, one drawn in proportion; temperature 0 takes the
 *    likeliest;
 * 4. all occurrences are multiplied by penaltyDecay, and the drawn token's grows by its count.
 *
 * The draw is a race: every token that stayed has a random number of its own, keyed by (seed,
 * position, token), and the largest ln p / temperature − ln(−ln u) wins. So devices need no order.
 *
 * logits: [rows, vocabulary]; slots: i32 [rows], the slot of each row, −1 for none, which gives token
 * −1; settings: [slots, 6], see `sampleSettings`; random: i32 [slots, 2], seed and position;
 * counts: [vocabulary], what drawing a token adds to its occurrence, negative: it is never drawn;
 * occurrences: state [slots, vocabulary], −1 for tokens not drawn yet.
 * Results: tokens i32 [rows] (−1 also where no token has a number for a logit), and occurrences.
 */
export const sample = defineOp<
  (
    logits: Value,
    slots: Value,
    settings: Value,
    random: Value,
    counts: Value,
    occurrences: Value,
  ) => readonly [tokens: Value, occurrences: Value]
>({
  name: 'sample',
  arguments: ['logits', 'slots', 'settings', 'random', 'counts', 'occurrences'],
  infer([logits, slots, settings, random, counts, occurrences], _, fail) {
    const [rows, vocabulary] = floatMatrix(logits!, 'logits', fail);
    const [slotCount] = matrix(occurrences!, 'occurrences', fail);
    expectIndexes(slots!, 'slots', rows, fail);
    const width = sampleSettings.length;
    expectFloats(settings!, 'settings', [slotCount, width], '[slots, settings]', fail);
    if (random!.dtype !== 'i32' || random!.shape.join() !== `${slotCount},2`) {
      fail(`random must be i32[${slotCount}, 2]`);
    }
    expectFloats(counts!, 'counts', [vocabulary], '[vocabulary]', fail);
    expectState(occurrences!, 'occurrences', [slotCount, vocabulary], '[slots, vocabulary]', fail);
    return [
      { dtype: 'i32', shape: [rows] },
      { dtype: 'f32', shape: [slotCount, vocabulary] },
    ];
  },
  reference({ inputs, outputs: [tokens, next] }) {
    const [, slots, , random, , occurrences] = inputs;
    const [logits, settings, counts] = [inputs[0]!, inputs[2]!, inputs[4]!].map(floats);
    const vocabulary = inputs[0]!.shape[1]!;
    carryState(occurrences!, next!);
    slots!.data.forEach((slot, row) => {
      if (slot < 0) {
        tokens!.data[row] = -1;
        return;
      }
      const start = slot * sampleSettings.length;
      tokens!.data[row] = drawToken(
        logits!.subarray(row * vocabulary, (row + 1) * vocabulary),
        Object.fromEntries(
          sampleSettings.map((name, i) => [name, settings![start + i]!]),
        ) as SampleSettings,
        { seed: random!.data[2 * slot]!, position: random!.data[2 * slot + 1]! },
        counts!,
        (next!.data as Floats).subarray(slot * vocabulary, (slot + 1) * vocabulary),
      );
    });
  },
  inPlace: [[1, 5]],
  operations: ([logits]) => 8 * elementCount(logits!.shape),
});

/** Draws from one row of logits; `occurrences` is read for penalties and updated with the token. */
export function drawToken(
  logits: Floats,
  settings: SampleSettings,
  key: { readonly seed: number; readonly position: number },
  counts: Floats,
  occurrences: Floats,
): number {
  const scores = penalise(logits, settings, counts, occurrences);
  const drawn =
    settings.temperature === 0
      ? largest(scores)
      : race(scores, stays(scores, settings), settings, key);
  if (drawn >= 0) {
    for (let i = 0; i < occurrences.length; i++) {
      if (occurrences[i]! !== notDrawn) occurrences[i]! *= settings.penaltyDecay;
    }
    occurrences[drawn] = Math.max(occurrences[drawn]!, 0) + counts[drawn]!;
  }
  return drawn;
}

/**
 * Logits after penalties, as distances from the largest: at most 0. −∞ for tokens that are never
 * drawn, and for logits that are no number.
 */
function penalise(
  logits: Floats,
  { presencePenalty, frequencyPenalty }: SampleSettings,
  counts: Floats,
  occurrences: Floats,
): Float64Array {
  const scores = new Float64Array(logits.length);
  for (let i = 0; i < scores.length; i++) {
    const drawn = occurrences[i]! !== notDrawn;
    const penalty = drawn ? presencePenalty + occurrences[i]! * frequencyPenalty : 0;
    const score = logits[i]! - penalty;
    scores[i] = counts[i]! < 0 || Number.isNaN(score) ? -Infinity : score;
  }
  const first = largest(scores);
  if (first < 0) return scores;
  const top = scores[first]!;
  // The largest itself is 0 even where it is infinite.
  for (let i = 0; i < scores.length; i++) scores[i] = scores[i] === top ? 0 : scores[i]! - top;
  return scores;
}

/** Place of the largest score, the first of equals; −1 when none is above −∞. */
function largest(scores: Float64Array): number {
  let best = -1;
  for (let i = 0; i < scores.length; i++) {
    if (scores[i]! > (best < 0 ? -Infinity : scores[best]!)) best = i;
  }
  return best;
}

/** Which tokens nucleus and topK leave in the draw. */
function stays(scores: Float64Array, { topP, topK }: SampleSettings): (token: number) => boolean {
  if (topP >= 1 && !(topK > 0)) return (token) => scores[token]! > -Infinity;
  let total = 0;
  for (let i = 0; i < scores.length; i++) total += Math.exp(scores[i]!);
  // Tokens below (1 − topP) / vocabulary make less than 1 − topP together: the nucleus is complete
  // before the first of them, and only the rest needs an order. The likeliest is always of the rest.
  const least = topP < 1 ? Math.min(((1 - topP) / scores.length) * total, 1) : 0;
  const order: number[] = [];
  for (let i = 0; i < scores.length; i++) {
    if (scores[i]! > -Infinity && Math.exp(scores[i]!) >= least) order.push(i);
  }
  order.sort((a, b) => scores[b]! - scores[a]! || a - b);
  let nucleus = topP < 1 ? 0 : order.length;
  for (let sum = 0; nucleus < order.length;) {
    sum += Math.exp(scores[order[nucleus]!]!);
    nucleus++;
    if (sum >= topP * total) break;
  }
  // Tokens as likely as the last of the nucleus stay too; of equals, topK takes the first.
  while (nucleus < order.length && scores[order[nucleus]!] === scores[order[nucleus - 1]!]) {
    nucleus++;
  }
  const kept = new Set(order.slice(0, topK > 0 ? Math.min(topK, nucleus) : nucleus));
  return (token) => kept.has(token);
}

/** The winner of the race among the tokens that stay; −1 when none does. */
function race(
  scores: Float64Array,
  staying: (token: number) => boolean,
  { temperature }: SampleSettings,
  { seed, position }: { readonly seed: number; readonly position: number },
): number {
  let winner = -1;
  let best = -Infinity;
  for (let token = 0; token < scores.length; token++) {
    if (!staying(token)) continue;
    const uniform = (randomBits(seed, position, token) + 0.5) / 2 ** 32;
    const result = scores[token]! / temperature - Math.log(-Math.log(uniform));
    if (result > best) {
      best = result;
      winner = token;
    }
  }
  return winner;
}
