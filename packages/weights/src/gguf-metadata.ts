import { UsageError } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import type { MetadataList, MetadataValue } from './container.ts';
import { quote } from './quote.ts';
import { SourceCursor } from './source-cursor.ts';

/** What the key and value of an entry take at least: a length, a type and one byte. */
const leastEntryBytes = 8 + 4 + 1;

/** Keys are up to 65,535 bytes long in the format. */
const longestKey = 65_535;

/** Lists in lists: no writer makes more than two. */
const deepest = 8;

/** A type of a value that takes a fixed number of bytes. */
interface Scalar {
  readonly name: string;
  readonly bytes: number;
  take(cursor: SourceCursor): number | bigint | boolean;
}

/** By their numbers in the file; 8 is text and 9 a list. specs/rwkv.md §4.7.1 */
const scalars: ReadonlyMap<number, Scalar> = new Map<number, Scalar>([
  [0, { name: 'u8', bytes: 1, take: (cursor) => cursor.u8() }],
  [1, { name: 'i8', bytes: 1, take: (cursor) => cursor.i8() }],
  [2, { name: 'u16', bytes: 2, take: (cursor) => cursor.u16() }],
  [3, { name: 'i16', bytes: 2, take: (cursor) => cursor.i16() }],
  [4, { name: 'u32', bytes: 4, take: (cursor) => cursor.u32() }],
  [5, { name: 'i32', bytes: 4, take: (cursor) => cursor.i32() }],
  [6, { name: 'f32', bytes: 4, take: (cursor) => cursor.f32() }],
  [7, { name: 'bool', bytes: 1, take: (cursor) => cursor.u8() !== 0 }],
  [10, { name: 'u64', bytes: 8, take: (cursor) => cursor.u64() }],
  [11, { name: 'i64', bytes: 8, take: (cursor) => cursor.i64() }],
  [12, { name: 'f64', bytes: 8, take: (cursor) => cursor.f64() }],
]);
const f32 = 6;
const text = 8;
const list = 9;

/** The metadata of a GGUF file. */
export interface GgufMetadata {
  /** Numbers and text, as text. */
  readonly values: ReadonlyMap<string, string>;
  /** Lists, such as the tokens of a vocabulary; read when asked for. */
  readonly lists: ReadonlyMap<string, MetadataList>;
}

/** Reads `count` entries and leaves the cursor behind them. Lists are only stepped over. */
export async function readGgufMetadata(
  source: ByteSource,
  cursor: SourceCursor,
  count: number,
): Promise<GgufMetadata> {
  if (count * leastEntryBytes > cursor.remaining) {
    cursor.fail(`it should have ${count} entries of metadata, more than the file has room for`);
  }
  const values = new Map<string, string>();
  const lists = new Map<string, MetadataList>();
  for (let i = 0; i < count; i++) {
    await cursor.ready(8, 'the length of a metadata key');
    const length = cursor.count('the length of a metadata key');
    if (length > longestKey && length <= cursor.remaining) {
      cursor.fail(`a metadata key has ${length} bytes, and ${longestKey} are allowed`);
    }
    const key = await cursor.text(length, 'a metadata key');
    const what = `the metadata ${quote(key)}`;
    if (values.has(key) || lists.has(key)) cursor.fail(`${what} comes twice`);
    await cursor.ready(4, `the type of ${what}`);
    const type = cursor.u32();
    if (type === list) lists.set(key, await readList(source, cursor, what));
    else values.set(key, asText(await readValue(cursor, type, what), type));
  }
  return { values, lists };
}

/** A value as text; an f32 with as few digits as tell it from its neighbours: 0.00001. */
function asText(value: MetadataValue, type: number): string {
  if (type !== f32 || typeof value !== 'number') return String(value);
  const shorter = [6, 7, 8].map((digits) => Number(value.toPrecision(digits)));
  return String(shorter.find((rounded) => Math.fround(rounded) === value) ?? value);
}

async function readValue(cursor: SourceCursor, type: number, what: string): Promise<MetadataValue> {
  if (type === text) {
    await cursor.ready(8, `the length of ${what}`);
    return cursor.text(cursor.count(`the length of ${what}`), what);
  }
  const scalar = scalars.get(type);
  if (!scalar) return cursor.fail(`${what} is of the unknown type ${type}`);
  await cursor.ready(scalar.bytes, what);
  return scalar.take(cursor);
}

/** Steps over a list and says how it can be read. */
async function readList(
  source: ByteSource,
  cursor: SourceCursor,
  what: string,
): Promise<MetadataList> {
  const { type, length, start } = await skipList(cursor, what, 0);
  const elementType = scalars.get(type)?.name ?? (type === text ? 'string' : 'list');
  return {
    elementType,
    length,
    async read(options: ReadOptions = {}) {
      options.signal?.throwIfAborted();
      if (type === list) {
        throw new UsageError(
          `Reading ${source.label}: ${what} is a list of lists, which no model needs.`,
        );
      }
      const again = new SourceCursor(source, 'GGUF', options, start);
      const result: MetadataValue[] = [];
      for (let i = 0; i < length; i++) result.push(await readValue(again, type, what));
      return result;
    },
  };
}

async function skipList(cursor: SourceCursor, what: string, depth: number) {
  await cursor.ready(12, `the length of ${what}`);
  const type = cursor.u32();
  const length = cursor.count(`the length of ${what}`);
  const start = cursor.at;
  const scalar = scalars.get(type);
  // Every text begins with its length, every list with its type and length.
  const least = scalar?.bytes ?? (type === text ? 8 : 12);
  if (!scalar && type !== text && type !== list) {
    cursor.fail(`${what} is a list of the unknown type ${type}`);
  }
  if (length * least > cursor.remaining) {
    cursor.fail(`${what} should have ${length} elements, more than the file has room for`);
  }
  if (scalar) cursor.at += length * scalar.bytes;
  else if (type === text) await skipTexts(cursor, length, what);
  else {
    if (depth === deepest) cursor.fail(`${what} has lists in lists more than ${deepest} deep`);
    for (let i = 0; i < length; i++) await skipList(cursor, what, depth + 1);
  }
  return { type, length, start };
}

async function skipTexts(cursor: SourceCursor, count: number, what: string): Promise<void> {
  for (let i = 0; i < count; i++) {
    // A vocabulary has 65,536 texts: waiting only where bytes must be fetched is ten times as fast.
    const fetching = cursor.ready(8, `the length of a text in ${what}`);
    if (fetching) await fetching;
    const length = cursor.count(`the length of a text in ${what}`);
    if (length > cursor.remaining) {
      cursor.fail(`a text in ${what} should have ${length} bytes, and ${cursor.remaining} follow`);
    }
    cursor.at += length;
  }
}
