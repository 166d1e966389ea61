/**
 * Bytes a second that one thread can read from memory here: a search for a byte that is not there
 * goes through a buffer at the speed of the machine's own instructions.
 */
export function readBandwidth(): number {
  // Written once: pages that were never written are all one page of zeros, which stays in the cache.
  const buffer = Buffer.alloc(256 * 1024 * 1024, 1);
  let best = 0;
  for (let run = 0; run < 5; run++) {
    const start = performance.now();
    buffer.indexOf(255);
    best = Math.max(best, (buffer.length / (performance.now() - start)) * 1000);
  }
  return best;
}
