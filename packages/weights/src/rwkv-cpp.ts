import { FormatError, type Shape } from '@rwkv-js/tensor';
import { blockFormats } from './blocks/block-formats.ts';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import {
  hasBytes,
  type Container,
  type ContainerContents,
  type StoredTensor,
} from './container.ts';
import { elementType, safeElementCount } from './element-type.ts';
import { blockBytes, quantisedTensor } from './quantised.ts';
import { quote } from './quote.ts';
import { SourceCursor } from './source-cursor.ts';

/** What the numbers of rwkv.cpp's types stand for; they are not those of ggml. */
const types: readonly string[] =
  'F32 F16 Q4_0 Q4_1 Q4_1_O Q4_2 Q4_3 Q5_0 Q5_1 Q8_0 Q8_1 Q2_K Q3_K Q4_K Q5_K Q6_K Q8_K'.split(' ');

/** A name in a model is about 30 bytes long. */
const longestName = 1024;

/** A dimension, key length and type number, before the dimensions of a tensor. */
const entryBytes = 12;

/**
 * The files of rwkv.cpp (`ggmf`), versions 100 and 101: six numbers, and tensor after tensor up to the
 * end, without a table and without padding. So opening steps through the file from tensor to tensor.
 * specs/rwkv.md §4.6.
 */
export const rwkvCpp: Container = {
  name: 'rwkv.cpp',
  recognises: (head) => hasBytes(head, 'fmgg'),
  open: openRwkvCpp,
};

async function openRwkvCpp(source: ByteSource, options: ReadOptions): Promise<ContainerContents> {
  const cursor = new SourceCursor(source, 'an rwkv.cpp file', options, 4);
  await cursor.ready(20, 'the header');
  const version = cursor.u32();
  if (version !== 100 && version !== 101) {
    cursor.fail(`its version is ${version}, and 100 and 101 can be read; convert the model again`);
  }
  const metadata = new Map<string, string>([['version', String(version)]]);
  for (const name of ['n_vocab', 'n_embed', 'n_layer']) metadata.set(name, String(cursor.u32()));
  const majority = cursor.u32();
  metadata.set('data_type', types.at(majority) ?? String(majority));
  const tensors = new Map<string, StoredTensor>();
  while (cursor.remaining > 0) {
    const [name, tensor] = await readEntry(source, cursor, version);
    if (tensors.has(name)) cursor.fail(`two tensors are named ${quote(name)}`);
    tensors.set(name, tensor);
  }
  if (tensors.size === 0) cursor.fail('the file ends after its header and holds no tensor');
  return { tensors, metadata };
}

async function readEntry(
  source: ByteSource,
  cursor: SourceCursor,
  version: number,
): Promise<[string, StoredTensor]> {
  await cursor.ready(entryBytes, 'the entry of a tensor');
  const axes = cursor.u32();
  const nameBytes = cursor.u32();
  const type = cursor.u32();
  if (axes < 1 || axes > 3) {
    cursor.fail(`a tensor has ${axes} dimensions, 1 to 3 were expected; the file is damaged`);
  }
  if (nameBytes > longestName) {
    cursor.fail(`the name of a tensor has ${nameBytes} bytes, and ${longestName} are allowed`);
  }
  await cursor.ready(4 * axes, 'the dimensions of a tensor');
  // Fastest axis first in the file.
  const shape = Array.from({ length: axes }, () => cursor.u32()).toReversed();
  const name = await cursor.text(nameBytes, 'the name of a tensor');
  const tensor = storedTensor(source, cursor, { name, type, shape, version });
  return [name, tensor];
}

interface Entry {
  readonly name: string;
  /** Number of the type, as rwkv.cpp counts them. */
  readonly type: number;
  readonly shape: Shape;
  /** Of the file. */
  readonly version: number;
}

/** The tensor whose data begin where the cursor is, which is moved behind them. */
function storedTensor(source: ByteSource, cursor: SourceCursor, entry: Entry): StoredTensor {
  const { name, shape, version } = entry;
  const offset = cursor.at;
  const where = `Reading ${source.label} as an rwkv.cpp file: tensor ${quote(name)}`;
  const type = types.at(entry.type);
  const format = blockFormats.get(type ?? '');
  if (!format && type !== 'F32' && type !== 'F16') {
    throw new FormatError(
      `${where} is of the type ${type ?? 'number'} (${entry.type}), which no version of rwkv.cpp reads ` +
        `any more; convert and quantise the model again.`,
    );
  }
  if (format && version === 100) {
    throw new FormatError(
      `${where} is ${format.name} in a file of version 100, whose blocks were laid out otherwise; ` +
        `quantise the model again with a newer rwkv.cpp.`,
    );
  }
  const plain = elementType(type === 'F16' ? 'F16' : 'F32');
  const count = safeElementCount(shape);
  const length = format
    ? blockBytes(format, shape)
    : count === undefined
      ? undefined
      : (count * plain.bits) / 8;
  if (length === undefined || !Number.isSafeInteger(length)) {
    throw new FormatError(
      `${where} is ${type} with the shape [${shape.join(', ')}], which is ` +
        (format
          ? `no whole number of blocks of ${format.elements} in a row, or too large`
          : 'larger than any file') +
        `; the file is damaged.`,
    );
  }
  if (length > cursor.remaining) {
    throw new FormatError(
      `${where} takes ${length} bytes, and ${cursor.remaining} follow; the file is cut short, ` +
        `download or copy it again.`,
    );
  }
  cursor.at += length;
  if (format) return quantisedTensor(source, format, shape, offset, length);
  return { type: plain, shape, read: (options) => source.read(offset, length, options) };
}
