import { FormatError, type Shape } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import {
  hasBytes,
  type Container,
  type ContainerContents,
  type StoredTensor,
} from './container.ts';
import { safeElementCount } from './element-type.ts';
import { readGgufMetadata, type GgufMetadata } from './gguf-metadata.ts';
import { ggufType, type GgufType } from './gguf-types.ts';
import { ggufVocabulary } from './gguf-vocabulary.ts';
import { blockBytes, quantisedTensor } from './quantised.ts';
import { quote } from './quote.ts';
import { SourceCursor } from './source-cursor.ts';

/** What a tensor's entry takes at least: the length of its name, axes, type and offset. */
const leastEntryBytes = 8 + 4 + 4 + 8;

/** ggml has tensors of up to four axes. */
const mostAxes = 4;

/** ggml takes names of up to 64 bytes; nobody minds longer ones. */
const longestName = 1024;

/**
 * GGUF, versions 2 and 3, little-endian: metadata, a table of tensors, and the tensors at multiples of
 * an alignment. Shapes are given as torch has them, the file's turned round. specs/rwkv.md §4.7
 */
export const gguf: Container = {
  name: 'GGUF',
  recognises: (head) => hasBytes(head, 'GGUF'),
  open: openGguf,
};

async function openGguf(source: ByteSource, options: ReadOptions): Promise<ContainerContents> {
  const cursor = new SourceCursor(source, 'GGUF', options, 4);
  await cursor.ready(4, 'the version');
  checkVersion(cursor);
  await cursor.ready(16, 'the header');
  const tensorCount = cursor.count('the number of tensors');
  const metadataCount = cursor.count('the number of metadata');
  const metadata = await readGgufMetadata(source, cursor, metadataCount);
  checkModel(metadata, cursor);
  const alignment = alignmentOf(metadata, cursor);
  const entries = await readEntries(cursor, tensorCount);
  const dataStart = Math.ceil(cursor.at / alignment) * alignment;
  const tensors = new Map<string, StoredTensor>();
  const places: Place[] = [];
  for (const [name, entry] of entries) {
    const what = `tensor ${quote(name)}`;
    if (entry.offset % alignment !== 0) {
      cursor.fail(`${what} begins at ${entry.offset}, which is no multiple of ${alignment}`);
    }
    const begin = dataStart + entry.offset;
    const end = begin + bytesOf(entry, cursor, what);
    if (!Number.isSafeInteger(end) || end > source.size) {
      cursor.fail(
        `${what} should lie in bytes ${begin} to ${end}, and the file has ${source.size}; it is cut ` +
          `short, download or copy it again`,
      );
    }
    places.push({ what, begin, end });
    tensors.set(name, storedTensor(source, entry, begin, end));
  }
  checkOverlaps(places, cursor);
  const { values, lists } = metadata;
  return { tensors, metadata: values, lists, vocabulary: ggufVocabulary(metadata, source.label) };
}

function checkVersion(cursor: SourceCursor): void {
  const version = cursor.u32();
  if (version === 2 || version === 3) return;
  if (version === 1)
    cursor.fail('it is of version 1, which is no longer in use; convert the model again');
  if (version % 65_536 === 0 && version > 0) {
    cursor.fail(
      'it is a big-endian file, and only little-endian ones can be read; convert the model again',
    );
  }
  cursor.fail(`its version is ${version}, and 2 and 3 can be read`);
}

/** Refuses what is no RWKV model, and what is a part of one. */
function checkModel({ values }: GgufMetadata, cursor: SourceCursor): void {
  const architecture = values.get('general.architecture');
  if (architecture !== undefined && !architecture.includes('rwkv')) {
    cursor.fail(`the model is of the architecture ${quote(architecture)}, which is not RWKV`);
  }
  const parts = Number(values.get('split.count') ?? 1);
  if (parts > 1) {
    cursor.fail(
      `it is one of ${parts} parts of a split model; join them with llama-gguf-split --merge`,
    );
  }
}

function alignmentOf({ values, lists }: GgufMetadata, cursor: SourceCursor): number {
  const text = values.get('general.alignment') ?? '32';
  const alignment = Number(text);
  const power = Number.isInteger(Math.log2(alignment)) && alignment >= 1 && alignment <= 2 ** 31;
  if (power && !lists.has('general.alignment')) return alignment;
  return cursor.fail(`its general.alignment is ${quote(text)}, a power of two was expected`);
}

/** A row of the table of tensors. */
interface Entry {
  readonly type: GgufType;
  readonly shape: Shape;
  /** From the beginning of the data. */
  readonly offset: number;
}

async function readEntries(
  cursor: SourceCursor,
  count: number,
): Promise<ReadonlyMap<string, Entry>> {
  if (count * leastEntryBytes > cursor.remaining) {
    cursor.fail(`it should have ${count} tensors, more than the file has room for`);
  }
  const entries = new Map<string, Entry>();
  for (let i = 0; i < count; i++) {
    await cursor.ready(8, 'the length of a name');
    const length = cursor.count('the length of a name');
    if (length > longestName && length <= cursor.remaining) {
      cursor.fail(`the name of a tensor has ${length} bytes, and ${longestName} are allowed`);
    }
    const name = await cursor.text(length, 'the name of a tensor');
    const what = `tensor ${quote(name)}`;
    if (entries.has(name)) cursor.fail(`${what} comes twice`);
    entries.set(name, await readEntry(cursor, what));
  }
  return entries;
}

async function readEntry(cursor: SourceCursor, what: string): Promise<Entry> {
  await cursor.ready(4, what);
  const axes = cursor.u32();
  if (axes > mostAxes) cursor.fail(`${what} has ${axes} axes, and ${mostAxes} are allowed`);
  await cursor.ready(8 * axes + 12, what);
  // Fastest axis first in the file.
  const shape = Array.from({ length: axes }, () => cursor.count(`an axis of ${what}`)).toReversed();
  const number = cursor.u32();
  const type = ggufType(number);
  if (!type)
    return cursor.fail(`${what} is of the type ${number}, which ggml does not have (any more)`);
  return { type, shape, offset: cursor.count(`the place of ${what}`) };
}

/** Bytes of a tensor in the file; 0 where only the name of its type is known. */
function bytesOf({ type, shape }: Entry, cursor: SourceCursor, what: string): number {
  if (safeElementCount(shape) === undefined) {
    cursor.fail(`${what} has the shape [${shape.join(', ')}], which is larger than any file`);
  }
  if (type.kind === 'other') return 0;
  if (type.kind === 'plain') return ((safeElementCount(shape) ?? 0) * type.type.bits) / 8;
  const { name, elements } = type.format;
  return (
    blockBytes(type.format, shape) ??
    cursor.fail(
      `${what} is ${name} with the shape [${shape.join(', ')}], and a row must be a multiple of ` +
        `${elements}`,
    )
  );
}

interface Place {
  readonly what: string;
  readonly begin: number;
  readonly end: number;
}

/** Tensors that share bytes could make any amount of numbers of a small file. */
function checkOverlaps(places: readonly Place[], cursor: SourceCursor): void {
  const filled = places.filter(({ begin, end }) => end > begin);
  const sorted = filled.toSorted((a, b) => a.begin - b.begin);
  for (let i = 1; i < sorted.length; i++) {
    if (sorted[i].begin < sorted[i - 1].end) {
      cursor.fail(`${sorted[i].what} overlaps ${sorted[i - 1].what}; the file is damaged`);
    }
  }
}

function storedTensor(
  source: ByteSource,
  { type, shape }: Entry,
  begin: number,
  end: number,
): StoredTensor {
  if (type.kind === 'blocks') {
    return quantisedTensor(source, type.format, shape, begin, end - begin);
  }
  return {
    type: type.type,
    shape,
    read: (options) => {
      if (type.kind === 'plain') return source.read(begin, end - begin, options);
      throw new FormatError(
        `Reading ${source.label}: elements of ${type.type.name} cannot be read.`,
      );
    },
  };
}
