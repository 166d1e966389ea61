import { recordStep, type ModelConfig } from '@rwkv-js/language';
import {
  declared,
  gradients,
  type Program,
  type TensorSpec,
  type WeightEntry,
} from '@rwkv-js/tensor';

/** Keeps logits from growing without end. Specification: training, loss. */
const l2Wrap = 1e-4;

/** A model's tensors by name. */
type Tensors = ReadonlyMap<string, WeightEntry>;

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
  tensors: Tensors,
  { tokens, slots }: BatchShape,
): Program {
  const dtypes = new Map([...tensors].map(([name, { dtype }]) => [name, dtype]));
  return recordStep(config, dtypes, { tokens, slots, rows: tokens, trainable: true, l2Wrap });
}

/** The weights among the states of a forward step, with their shapes; the others are of sequences. */
export function weightsOf(forward: Program): ReadonlyMap<string, TensorSpec> {
  const states = [...declared(forward, 'state')];
  return new Map(states.filter(([name]) => !name.startsWith('state.')));
}

/**
 * The first program of training: runs the step forward and back, and adds the gradients to states called
 * `gradient.<weight>`. Input `cotangent.loss`: the batch's share of the whole, 1 when it is all of it.
 */
export function recordAccumulate(forward: Program, weights: Iterable<string>): Program {
  return gradients(forward, { of: ['loss'], wrt: [...weights], accumulate: true });
}
