/** So many sums of bytes fit into 32 bits before they must be reduced. */
const BLOCK = 5552;
const MODULUS = 65521;

/** Adler-32 as in zlib: of the usual checksums the quickest to compute without a table. */
export function adler32(bytes: Uint8Array): number {
  let low = 1;
  let high = 0;
  for (let at = 0; at < bytes.length;) {
    for (const end = Math.min(at + BLOCK, bytes.length); at < end; at++) {
      low = (low + bytes[at]) | 0;
      high = (high + low) >>> 0;
    }
    low %= MODULUS;
    high %= MODULUS;
  }
  return ((high << 16) | low) >>> 0;
}
