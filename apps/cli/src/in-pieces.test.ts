import { expect, test } from 'vitest';
import { inPieces } from './in-pieces.ts';

const never = new AbortController().signal;

test('the pieces are the whole, in order', async () => {
  const tokens = Array.from({ length: 1000 }, (_, at) => at);
  const seen: number[] = [];
  await inPieces(tokens, never, async (piece, end) => {
    seen.push(...piece);
    expect(seen).toHaveLength(end);
  });
  expect(seen).toEqual(tokens);
});

test('pieces shrink when they are slow', async () => {
  const sizes: number[] = [];
  await inPieces(Array(24).fill(0), never, async (piece) => {
    sizes.push(piece.length);
    if (sizes.length < 3) await new Promise((later) => setTimeout(later, 450));
  });
  expect(sizes.slice(0, 3)).toEqual([16, 4, 1]);
});

test('nothing is handed out after Ctrl-C', async () => {
  const controller = new AbortController();
  let pieces = 0;
  const work = inPieces(Array(1000).fill(0), controller.signal, async () => {
    pieces++;
    controller.abort();
  });
  await expect(work).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }));
  expect(pieces).toBe(1);
});
