/** How the learning rate goes up at the beginning of a training and down until its end. */
export interface Schedule {
  /** The highest rate. */
  readonly rate: number;
  /** The rate of the last step. */
  readonly finalRate: number;
  /** Steps until the highest rate. */
  readonly warmup: number;
  /** All steps. */
  readonly steps: number;
}

/**
 * The learning rate of a step: a straight line up from a hundredth, times half a wave of the cosine down.
 * Specification: training, optimizer, schedule.
 *
 * @param step 1 at the first
 */
export function learningRate(step: number, { rate, finalRate, warmup, steps }: Schedule): number {
  const progress = Math.min(1, Math.max(0, (step - 1) / Math.max(1, steps - 1)));
  const middle = (rate + finalRate) / 2;
  const wave = middle + ((rate - finalRate) / 2) * Math.cos(Math.PI * progress);
  return wave * (step >= warmup ? 1 : 0.01 + (0.99 * step) / warmup);
}
