import type { HeadBackwardStep } from './heads-backward.ts';

/** What one token of one head of RWKV-5 or 6 is differentiated with respect to. */
export interface DiagonalGradients {
  readonly r: Float64Array;
  readonly k: Float64Array;
  readonly v: Float64Array;
  /** Added to, as the decay may be shared by all tokens. */
  readonly decay: Float64Array;
  /** Added to, as the bonus is shared by all tokens. */
  readonly bonus: Float64Array;
}

/**
 * One token of the recurrence that RWKV-5 and 6 share, backwards. With G the gradient of the new
 * S [key, value], g that of y and c = v · g:
 *
 *     dr = S g + bonus ⊙ k c    dbonus += r ⊙ k c    dk = G v + bonus ⊙ r c
 *     dv = Gᵀ k + (r · bonus ⊙ k) g    ddecay += Σ_value G ⊙ S    G ← diag(decay) G + r gᵀ
 *
 * Specification: RWKV-6, gradients.
 */
export function diagonalBackward(
  { vectors, before, gradient }: HeadBackwardStep,
  g: Float64Array,
  decay: Float64Array,
  bonus: Float64Array,
  gradients: DiagonalGradients,
): void {
  const [r, k, v] = vectors as [Float64Array, Float64Array, Float64Array];
  const n = r.length;
  let valueFlow = 0;
  for (let j = 0; j < n; j++) valueFlow += v[j]! * g[j]!;
  gradients.v.fill(0);
  for (let i = 0; i < n; i++) {
    const old = before.subarray(i * n, (i + 1) * n);
    const row = gradient.subarray(i * n, (i + 1) * n);
    let ofReceptance = 0;
    let ofKey = 0;
    let ofDecay = 0;
    for (let j = 0; j < n; j++) {
      ofReceptance += old[j]! * g[j]!;
      ofKey += row[j]! * v[j]!;
      ofDecay += row[j]! * old[j]!;
      gradients.v[j]! += row[j]! * k[i]! + r[i]! * bonus[i]! * k[i]! * g[j]!;
      row[j] = decay[i]! * row[j]! + r[i]! * g[j]!;
    }
    gradients.r[i] = ofReceptance + bonus[i]! * k[i]! * valueFlow;
    gradients.k[i] = ofKey + bonus[i]! * r[i]! * valueFlow;
    gradients.decay[i]! += ofDecay;
    gradients.bonus[i]! += r[i]! * k[i]! * valueFlow;
  }
}

/** S ← diag(decay) S + k vᵀ. */
export function diagonalAdvance(
  matrix: Float64Array,
  k: Float64Array,
  v: Float64Array,
  decay: Float64Array,
): void {
  const n = k.length;
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      matrix[i * n + j] = decay[i]! * matrix[i * n + j]! + k[i]! * v[j]!;
    }
  }
}
