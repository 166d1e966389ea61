/**
 * FNV-1a over little-endian words of 32 bits, the last filled with zeros: four bytes a step, so that
 * it costs little before the code is compiled. Each step is one to one, so a change within a
 * single word never goes unseen.
 */
export function wordChecksum(bytes: Uint8Array): number {
  const words = new Int32Array((bytes.length + 3) >> 2);
  new Uint8Array(words.buffer).set(bytes);
  let sum = 0x811c9dc5 | 0;
  for (let at = 0; at < words.length; at++) sum = Math.imul(sum ^ words[at], 0x01000193);
  return sum >>> 0;
}
