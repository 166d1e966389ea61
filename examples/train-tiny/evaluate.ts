import type { Trainer, TrainingSequence } from 'rwkv-js';

/** How well a model does on words. */
export interface Score {
  readonly loss: number;
  /** Share of right answers at each position of the words. */
  readonly byPosition: readonly number[];
}

/** Runs words of one length, and counts where the likeliest answer is the right one. */
export async function evaluate(
  trainer: Trainer,
  words: readonly TrainingSequence[],
): Promise<Score> {
  const length = words[0]!.tokens.length;
  const { loss, logits } = await trainer.evaluate(words);
  const size = logits.length / (words.length * length);
  const right = new Array<number>(length).fill(0);
  words.forEach(({ targets }, word) => {
    targets.forEach((target, at) => {
      const row = logits.subarray((word * length + at) * size, (word * length + at + 1) * size);
      if (row.every((logit: number) => logit <= row[target]!)) right[at]! += 1;
    });
  });
  return { loss, byPosition: right.map((count) => count / words.length) };
}

export function mean(numbers: readonly number[]): number {
  return numbers.reduce((a, b) => a + b, 0) / numbers.length;
}
