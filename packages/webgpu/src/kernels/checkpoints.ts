/**
 * How a recurrence finds its old matrices on the way back: it keeps one in `every` of them, and computes those
 * between two of these again, when it comes there.
 */
export interface Checkpoints {
  /** Tokens from one that is kept to the next, and matrices of a part that is computed again. */
  readonly every: number;
  /** Matrices that are kept. */
  readonly count: number;
}

/** Of walkers side by side, each with a sequence of its own among `tokens`: the least memory that serves. */
export function checkpointsOfSlots(tokens: number, slots: number): Checkpoints {
  const every = Math.max(1, Math.ceil(Math.sqrt(tokens / Math.max(1, slots))));
  // Sequence s begins at place ⌊start / every⌋ + s, behind what the one before it keeps.
  return { every, count: Math.floor(tokens / every) + slots };
}

/** Of one walker that takes the sequences in turns, each as long as `tokens` at most. */
export function checkpointsInTurns(tokens: number): Checkpoints {
  const every = Math.max(1, Math.ceil(Math.sqrt(tokens)));
  return { every, count: Math.ceil(tokens / every) };
}
