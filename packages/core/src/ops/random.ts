/**
 * A random 32-bit number for a key of three: `pcg3d` of Jarzynski and Olano, "Hash Functions for GPU
 * Rendering" (JCGT 9(3), 2020), its first output. Integers only, so every device draws the same.
 *
 * @returns an integer from 0 to 2³² − 1
 */
export function randomBits(seed: number, position: number, token: number): number {
  let x = (Math.imul(seed, 1664525) + 1013904223) | 0;
  let y = (Math.imul(position, 1664525) + 1013904223) | 0;
  let z = (Math.imul(token, 1664525) + 1013904223) | 0;
  x = (x + Math.imul(y, z)) | 0;
  y = (y + Math.imul(z, x)) | 0;
  z = (z + Math.imul(x, y)) | 0;
  x ^= x >>> 16;
  y ^= y >>> 16;
  z ^= z >>> 16;
  return (x + Math.imul(y, z)) >>> 0;
}
