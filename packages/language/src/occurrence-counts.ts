import type { Tokenizer } from '@rwkv-js/tokenizer';

/**
 * What drawing each token adds to its occurrence: 1; 0 for digits and blanks, which repeat in honest
 * text and only get the presence penalty; −1 for ids without text, which are never drawn (id 0, the
 * end of a text, is). Specification, sampling: penalties.
 */
export function occurrenceCounts(
  vocabularySize: number,
  tokenizer: Tokenizer | undefined,
): Float32Array {
  const counts = new Float32Array(vocabularySize).fill(1);
  if (!tokenizer) return counts;
  for (let id = 0; id < vocabularySize; id++) {
    const bytes = tokenizer.tokenBytes(id);
    if (bytes.length === 0) counts[id] = id === 0 ? 1 : -1;
    else if (bytes.length < 12 && uncounted.includes(latin1(bytes))) counts[id] = 0;
  }
  return counts;
}

/** A token is not counted when its text is a part of this. */
const uncounted = ' \t0123456789';

function latin1(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}
