import { deflateRawSync } from 'node:zlib';
import { ggufFile, type GgufValue } from '../../packages/weights/test/gguf-writer.ts';
import { pickle, type Picklable } from '../../packages/weights/test/pickle-writer.ts';
import { stateDict, torchLegacy, torchZip } from '../../packages/weights/test/torch-writer.ts';
import { zip } from '../../packages/weights/test/zip-writer.ts';
import type { Random } from './random.ts';

/** Weight files that are broken by design, which changing the bytes of a good one would hardly give. */
export const makers: readonly ((random: Random) => Uint8Array)[] = [
  pickleSoup,
  cyclicPickle,
  strangeTensor,
  zipBomb,
  safetensorsNumbers,
  ggufNumbers,
];

/** Opcodes in any order, among them those that refer back, so that values may hold themselves. */
function pickleSoup(random: Random): Uint8Array {
  const words = [
    '}',
    ']',
    '(',
    ')',
    't',
    'l',
    'd',
    's',
    'u',
    'a',
    'e',
    'q\0',
    'q\x01',
    'h\0',
    'h\x01',
  ];
  const more = [
    '0',
    '1',
    '2',
    'N',
    'K\x05',
    'X\x01\0\0\0a',
    'R',
    'b',
    'Q',
    '\x85',
    '\x86',
    '\x87',
    '\x94',
  ];
  const names = ['ccollections\nOrderedDict\n', 'ctorch\nFloatStorage\n', 'cos\nsystem\n'];
  const choices = [...words, ...words, ...more, ...names];
  const body = Array.from({ length: random.below(400) }, () => random.pick(choices)).join('');
  return torchZip(
    Uint8Array.from(`\x80\x02${body}.`, (c) => c.charCodeAt(0)),
    [],
  );
}

/** Dictionaries and lists that hold each other in a ring. */
function cyclicPickle(random: Random): Uint8Array {
  const made: (Map<Picklable, Picklable> | Picklable[])[] = [new Map<Picklable, Picklable>()];
  for (let i = random.below(20); i > 0; i--) {
    made.push(random.chance(0.5) ? [] : new Map<Picklable, Picklable>());
  }
  for (let i = random.below(60); i > 0; i--) {
    const holder = random.pick(made);
    const key = random.pick(['state_dict', 'model', 'a', 'b', 'emb.weight']);
    if (Array.isArray(holder)) holder.push(random.pick(made));
    else holder.set(key, random.pick(made));
  }
  if (random.chance(0.3)) return torchLegacy(made[0], []);
  return torchZip(pickle(made[0]), []);
}

/** Offsets, sizes and strides that no tensor has. */
function strangeTensor(random: Random): Uint8Array {
  const number = () =>
    random.pick([0, 1, 2, 3, -1, 2 ** 31, -(2 ** 31), 2 ** 53, 2 ** 62, 2 ** 63, -(2 ** 63)]);
  const list = () => Array.from({ length: random.below(random.chance(0.05) ? 80 : 4) }, number);
  const bytes = new Uint8Array(4 * random.below(8));
  const count = random.chance(0.7) ? bytes.length / 4 : number();
  const kind = random.pick(['Float', 'BFloat16', 'Long', 'Bool', 'QInt8']);
  const storage = { key: random.pick(['0', '1', '../0', '']), kind, bytes, count };
  const shape = list();
  const strides = random.chance(0.8) ? shape.map(number) : list();
  const tensors = [{ name: 'a', storage, offset: number(), shape, strides }];
  // The legacy writer can write no other counts than a storage can have.
  if (random.chance(0.3) && count >= 0) {
    return torchLegacy(stateDict(tensors, { legacy: true }), [storage]);
  }
  return torchZip(stateDict(tensors), [storage]);
}

/** Entries that say to be far longer than they are, deflated or not. */
function zipBomb(random: Random): Uint8Array {
  const zeros = deflateRawSync(new Uint8Array(1024 * random.pick([1, 100, 4096])));
  const method = random.pick([0, 8, 8, 12]);
  const size = random.pick([zeros.length, 2 ** 20, 2 ** 30, 2 ** 32 - 1, 2 ** 40, 2 ** 52]);
  const name = random.pick(['archive/data.pkl', 'data.pkl', '../data.pkl', 'archive/data/0']);
  const zip64 = random.pick(['beside', 'only'] as const);
  return zip([{ name, bytes: zeros, method, size }], { zip64 });
}

/** A header whose numbers, types and names are any. */
function safetensorsNumbers(random: Random): Uint8Array {
  const number = () =>
    random.pick([
      '0',
      '1',
      '2',
      '4',
      '8',
      '-4',
      '0.5',
      '1e3',
      '1e400',
      '9223372036854775808',
      '""',
    ]);
  const list = (length: number) => `[${Array.from({ length }, number).join(',')}]`;
  const entries = Array.from({ length: random.below(5) }, () => {
    const name = random.pick(['a', 'b', '__proto__', '__metadata__', 'constructor', '\\u0000']);
    const dtype = random.pick(['F32', 'F16', 'I64', 'F4', 'Q4_0', '']);
    const offsets = list(random.pick([2, 2, 2, 1, 3]));
    return `"${name}":{"dtype":"${dtype}","shape":${list(random.below(4))},"data_offsets":${offsets}}`;
  });
  const json = new TextEncoder().encode(`{${entries.join(',')}}`);
  const file = new Uint8Array(8 + json.length + random.below(32));
  const length = random.chance(0.8) ? BigInt(json.length) : 2n ** BigInt(random.below(64));
  new DataView(file.buffer).setBigUint64(0, length, true);
  file.set(json, 8);
  return file;
}

/** Counts, shapes, offsets and nested lists that are any. */
function ggufNumbers(random: Random): Uint8Array {
  const number = () => random.pick([0, 1, 2, 31, 32, 256, 2 ** 32, 2 ** 40, 2 ** 53, 2 ** 63]);
  const value = (depth: number): GgufValue => {
    const type = random.pick(['u8', 'i32', 'f32', 'string', 'u64'] as const);
    if (random.chance(0.5) || depth > 12) return { type, value: 1 };
    if (random.chance(0.5)) return { type: 'list', of: type, values: [1, 2, 3] };
    return { type: 'list', of: 'list', values: [value(depth + 1), value(depth + 1)] };
  };
  const keys = [
    'general.alignment',
    'general.architecture',
    'split.count',
    'tokenizer.ggml.tokens',
  ];
  const metadata = Object.fromEntries(
    Array.from({ length: random.below(4) }, () => [random.pick(keys), value(0)]),
  );
  const tensors = Array.from({ length: random.below(4) }, (_, i) => ({
    name: random.pick([`t${i}`, 't', '']),
    type: random.below(45),
    shape: Array.from({ length: random.below(6) }, () => (random.chance(0.7) ? 32 : number())),
    bytes: random.bytes(random.below(300)),
  }));
  return ggufFile(tensors, {
    version: random.pick([2, 3, 3]),
    metadata,
    ...(random.chance(0.3) && { tensorCount: number() }),
    ...(random.chance(0.3) && { offsets: [number(), number()] }),
  });
}
