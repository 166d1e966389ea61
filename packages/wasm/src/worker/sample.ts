import { drawToken, notDrawn, sampleSettings, type SampleSettings } from '@rwkv-js/core';
import type { ReferenceCall } from '@rwkv-js/tensor';

/**
 * `sample` row by row: rows that take the likeliest token in one pass and without arrays of their own, all
 * others as the reference draws them. The tokens are the same.
 */
export function sampleRows({ inputs, outputs: [tokens, next] }: ReferenceCall): void {
  const [logits, slots, settings, random, counts, occurrences] = inputs.map(({ data }) => data);
  if (occurrences!.byteOffset !== next!.data.byteOffset) next!.data.set(occurrences!);
  const vocabulary = inputs[0]!.shape[1]!;
  slots!.forEach((slot: number, row: number) => {
    if (slot < 0) {
      tokens!.data[row] = -1;
      return;
    }
    const first = slot * sampleSettings.length;
    const chosen = Object.fromEntries(
      sampleSettings.map((name, i) => [name, settings![first + i]!]),
    ) as SampleSettings;
    const scores = (logits as Float32Array).subarray(row * vocabulary, (row + 1) * vocabulary);
    const seen = (next!.data as Float32Array).subarray(slot * vocabulary, (slot + 1) * vocabulary);
    const key = { seed: random![2 * slot]!, position: random![2 * slot + 1]! };
    tokens!.data[row] =
      chosen.temperature === 0
        ? likeliest(scores, chosen, counts as Float32Array, seen)
        : drawToken(scores, chosen, key, counts as Float32Array, seen);
  });
}

/** The likeliest token after penalties, the first of equals; −1 when none has a number. */
function likeliest(
  logits: Float32Array,
  { presencePenalty, frequencyPenalty, penaltyDecay }: SampleSettings,
  counts: Float32Array,
  occurrences: Float32Array,
): number {
  let best = -1;
  let top = -Infinity;
  const lowers = presencePenalty >= 0 && frequencyPenalty >= 0;
  for (let i = 0; i < logits.length; i++) {
    let score = logits[i]!;
    // Most tokens are out before their penalties are looked at.
    if (lowers && !(score > top)) continue;
    const occurrence = occurrences[i]!;
    if (occurrence !== notDrawn) score -= presencePenalty + occurrence * frequencyPenalty;
    if (score > top && counts[i]! >= 0) {
      best = i;
      top = score;
    }
  }
  if (best < 0) return best;
  if (penaltyDecay !== 1) {
    for (let i = 0; i < occurrences.length; i++) {
      if (occurrences[i]! !== notDrawn) occurrences[i]! *= penaltyDecay;
    }
  }
  occurrences[best] = Math.max(occurrences[best]!, 0) + counts[best]!;
  return best;
}
