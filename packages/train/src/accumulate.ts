import { recordStep, type ModelConfig, type NamedTensors } from '@rwkv-js/language';
import { declared, gradients, type Program } from '@rwkv-js/tensor';

/** Keeps logits from growing without end. Specification: training, loss. */
const l2Wrap = 1e-4;

/** Sizes of a batch. */
export interface BatchShape {
  /** Rows of tokens, all sequences together, padding included. */
  readonly tokens: number;
  /** Sequences. */
  readonly slots: number;
}

/**
 * The step that training differentiates: tokens in, logits and the loss out, weights and what sequences
 * leave behind as states; `recordStep` says more.
 */
export function recordForward(
  config: ModelConfig,
  { tensors }: NamedTensors,
  { tokens, slots }: BatchShape,
): Program {
  const dtypes = new Map([...tensors].map(([name, { dtype }]) => [name, dtype]));
  return recordStep(config, dtypes, { tokens, slots, rows: tokens, trainable: true, l2Wrap });
}

/** The weights among the states of a forward step. */
export function weightNames(forward: Program, { tensors }: NamedTensors): readonly string[] {
  return [...declared(forward, 'state').keys()].filter((name) => tensors.has(name));
}

/**
 * The first program of training: runs the step forward and back, and adds the gradients to states called
 * `gradient.<weight>`. Input `cotangent.loss`: the batch's share of the whole, 1 when it is all of it.
 */
export function recordAccumulate(forward: Program, weights: readonly string[]): Program {
  return gradients(forward, { of: ['loss'], wrt: weights, accumulate: true });
}
