/** Where the UTF-8 that begins at a place stops being valid; the length if it never does. */
export function utf8End(bytes: Uint8Array, start: number): number {
  let at = start;
  while (at < bytes.length) {
    const first = bytes[at];
    if (first < 0x80) {
      at++;
      continue;
    }
    const more = first < 0xc2 ? 0 : first < 0xe0 ? 1 : first < 0xf0 ? 2 : first < 0xf5 ? 3 : 0;
    if (more === 0) return at;
    // The second byte rules out overlong forms, surrogates and what lies beyond U+10FFFF.
    const low = first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
    const high = first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
    const second = bytes[at + 1];
    if (!(second >= low && second <= high)) return at;
    for (let n = 2; n <= more; n++) if ((bytes[at + n] & 0xc0) !== 0x80) return at;
    at += more + 1;
  }
  return at;
}
