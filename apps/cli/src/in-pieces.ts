/** Pieces are of these sizes, which fill the steps of every device. */
const sizes = [1, 4, 16, 64, 256];

/** Milliseconds that a piece should take at most, and that one is too small below. */
const slow = 400;
const fast = 50;

/**
 * Hands out tokens in pieces that take a moment each, whatever the model and the device: between
 * two, Ctrl-C is heard, a bar moves on and results leave memory.
 */
export async function inPieces(
  tokens: readonly number[],
  signal: AbortSignal,
  take: (piece: readonly number[], end: number) => Promise<void>,
): Promise<void> {
  let size = 2;
  for (let at = 0; at < tokens.length;) {
    signal.throwIfAborted();
    const begun = performance.now();
    const piece = tokens.slice(at, at + sizes[size]!);
    at += piece.length;
    await take(piece, at);
    const took = performance.now() - begun;
    if (took > slow) size = Math.max(size - 1, 0);
    else if (took < fast) size = Math.min(size + 1, sizes.length - 1);
  }
}
