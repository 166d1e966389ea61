import type { ModelConfig } from './config.ts';

/**
 * All that a session remembers, as a value: nothing that continues from it changes it. Save it, keep
 * as many as you like, begin sessions from it, on any device. `structuredClone` and a worker's messages
 * keep it whole; JSON does not.
 */
export interface SessionState {
  /** The model it belongs to: its sizes, as `stateKind` spells them. */
  readonly kind: string;
  /** Whose weights it was made with: `model.fingerprint`. Restoring looks at the sizes alone. */
  readonly fingerprint?: string;
  /** Tokens that were fed to come here. */
  readonly tokenCount: number;
  /**
   * The state tensors of one sequence, f32, by the names `state.{layer}.att_x`, `.ffn_x` [width], and
   * `.wkv` [heads, headSize, headSize] or, for RWKV-4, `.aa`, `.bb`, `.pp` [width]. Row-major.
   */
  readonly tensors: ReadonlyMap<string, Float32Array>;
  /** The last token of the text, when the tensors do not hold it yet. */
  readonly pending?: number;
  /** Logits after the last token, when they are known. */
  readonly logits?: Float32Array;
}

/** Two models with the same kind can exchange states (their weights may differ). */
export function stateKind(config: ModelConfig): string {
  const { version, layers, width, attentionWidth, heads, vocabularySize } = config;
  return (
    `rwkv-${version} ${layers}x${width} attention ${attentionWidth} heads ${heads} ` +
    `vocabulary ${vocabularySize}`
  );
}

/** Whether a model's state belongs to the text of a sequence, and not to the drawing of tokens alone. */
export function isSequenceState(name: string): boolean {
  return name.startsWith('state.');
}
