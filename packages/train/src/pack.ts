import type { ModelConfig } from '@rwkv-js/language';
import { UsageError } from '@rwkv-js/tensor';
import type { BatchShape } from './accumulate.ts';

/** A sequence to learn from: what is read, and what is to be predicted after each token; −1 is nothing. */
export interface TrainingSequence {
  readonly tokens: readonly number[];
  readonly targets: readonly number[];
}

/** Sequences as a step takes them. */
export type PackedSequences = Readonly<
  Record<'tokens' | 'offsets' | 'logitRows' | 'targets', Int32Array>
>;

/**
 * Whole sequences as the inputs of a step: one after another, the rest padding.
 *
 * @throws UsageError for sequences that the shape does not hold, and for tokens and targets that are
 * not as many, or not in the vocabulary.
 */
export function packSequences(
  sequences: readonly TrainingSequence[],
  { tokens: rows, slots }: BatchShape,
  { vocabularySize }: Pick<ModelConfig, 'vocabularySize'>,
): PackedSequences {
  const total = sequences.reduce((sum, { tokens }) => sum + tokens.length, 0);
  if (sequences.length > slots || total > rows) {
    throw new UsageError(
      `a batch of ${sequences.length} sequences with ${total} tokens was given; it holds ${slots} ` +
        `sequences with ${rows} tokens`,
    );
  }
  const tokens = new Int32Array(rows);
  const targets = new Int32Array(rows).fill(-1);
  const offsets = new Int32Array(slots + 1).fill(total);
  let at = 0;
  sequences.forEach((sequence, slot) => {
    if (sequence.targets.length !== sequence.tokens.length) {
      throw new UsageError(
        `sequence ${slot} of a batch has ${sequence.tokens.length} tokens and ` +
          `${sequence.targets.length} targets; give each token a target, −1 for none`,
      );
    }
    offsets[slot] = at;
    checkIds(sequence.tokens, 0, vocabularySize, `tokens of sequence ${slot}`);
    checkIds(sequence.targets, -1, vocabularySize, `targets of sequence ${slot}`);
    tokens.set(sequence.tokens, at);
    targets.set(sequence.targets, at);
    at += sequence.tokens.length;
  });
  const logitRows = Int32Array.from({ length: rows }, (_, row) => (row < total ? row : -1));
  return { tokens, offsets, logitRows, targets };
}

function checkIds(ids: readonly number[], least: number, size: number, what: string): void {
  const wrong = ids.find((id) => !(Number.isInteger(id) && id >= least && id < size));
  if (wrong === undefined) return;
  throw new UsageError(
    `the ${what} of a batch hold ${wrong}; whole numbers from ${least} to ${size - 1} are in the vocabulary`,
  );
}
