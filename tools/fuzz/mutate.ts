import type { Random } from './random.ts';

/** Numbers that counts, sizes, offsets and opcodes break at. */
const numbers: readonly bigint[] = [
  0n,
  1n,
  2n,
  0x7fn,
  0x80n,
  0xffn,
  0xffffn,
  ...[31n, 32n, 53n, 62n, 63n, 64n].flatMap((bits) => [2n ** bits - 1n, 2n ** bits]),
];

/** Text that JSON, names and numbers in text break at. */
const texts: readonly string[] = [
  ...'{}[]"\\,:',
  '-1',
  '1e999',
  '9007199254740993',
  '0.5',
  'null',
  '../',
  '/',
  '\0',
  '\ufeff',
  '__proto__',
  '__metadata__',
  '"a":{},',
  '\\ud800',
];

/** Opcodes of pickles. */
const opcodes = '(.0125bcdehjqrstuaeQRKMJIX}])lo\x80\x81\x85\x86\x87\x88\x8a\x93\x94';

/** A file with one change, or up to four. */
export function mutate(random: Random, file: Uint8Array, other: Uint8Array): Uint8Array {
  let bytes = file;
  const changes = random.chance(0.6) ? 1 : 1 + random.below(4);
  for (let i = 0; i < changes; i++) bytes = change(random, bytes, other);
  return bytes;
}

function change(random: Random, bytes: Uint8Array, other: Uint8Array): Uint8Array {
  const at = place(random, bytes.length);
  switch (random.below(9)) {
    case 0:
      return bytes.slice(0, random.below(bytes.length + 1));
    case 1:
      return splice(bytes, at, 1, Uint8Array.of((bytes[at] ?? 0) ^ (1 << random.below(8))));
    case 2:
      return splice(bytes, at, 1, random.bytes(1));
    case 3: {
      const number = numberBytes(random);
      return splice(bytes, at, random.chance(0.8) ? number.length : 0, number);
    }
    case 4: {
      const text = new TextEncoder().encode(random.pick(texts));
      return splice(bytes, at, random.chance(0.5) ? text.length : 0, text);
    }
    case 5: {
      const opcode = Uint8Array.of(opcodes.charCodeAt(random.below(opcodes.length)));
      return splice(bytes, at, random.below(2), opcode);
    }
    case 6:
      return splice(bytes, at, random.below(64), new Uint8Array(0));
    case 7: {
      const from = place(random, bytes.length);
      return splice(bytes, at, random.below(64), bytes.slice(from, from + random.below(256)));
    }
    default: {
      const from = place(random, other.length);
      return splice(bytes, at, random.below(256), other.slice(from, from + random.below(1024)));
    }
  }
}

/** Mostly where headers are: in the first kilobytes and, for archives, in the last. */
function place(random: Random, length: number): number {
  const near = Math.min(length, 2048);
  const kind = random.unit();
  if (kind < 0.5) return random.below(near);
  return kind < 0.75 ? length - random.below(near) - 1 : random.below(length);
}

/** A number of 1, 2, 4 or 8 bytes. */
function numberBytes(random: Random): Uint8Array {
  const all = new Uint8Array(8);
  new DataView(all.buffer).setBigUint64(0, random.pick(numbers), true);
  return all.slice(0, random.pick([1, 2, 4, 8, 8]));
}

function splice(bytes: Uint8Array, at: number, remove: number, add: Uint8Array): Uint8Array {
  const start = Math.max(0, Math.min(at, bytes.length));
  const end = Math.min(start + remove, bytes.length);
  const result = new Uint8Array(start + add.length + bytes.length - end);
  result.set(bytes.subarray(0, start));
  result.set(add, start);
  result.set(bytes.subarray(end), start + add.length);
  return result;
}
