import { FormatError, type Shape } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import {
  hasBytes,
  type Container,
  type ContainerContents,
  type StoredTensor,
} from './container.ts';
import { elementTypes, safeElementCount, type PlainElementType } from './element-type.ts';
import { JsonCursor } from './json-cursor.ts';
import { quote } from './quote.ts';

/** The longest header that the reference reader takes. */
const longestHeader = 100_000_000;

/**
 * safetensors: u64 length, JSON header, tensors end to end. Checked as strictly as the reference
 * reader (huggingface/safetensors), and keys that come twice are refused too, as the format asks.
 */
export const safetensors: Container = {
  name: 'safetensors',
  recognises: (head) => looksLikeHeader(head),
  open: openSafetensors,
};

/**
 * The format has no magic: a length below 2³², and JSON after it. No text and no magic of another
 * format has four zeros there.
 */
function looksLikeHeader(head: Uint8Array): boolean {
  return hasBytes(head, [0, 0, 0, 0], 4) && ['{', '[', ' '].some((json) => hasBytes(head, json, 8));
}

interface HeaderEntry {
  readonly name: string;
  readonly type: PlainElementType;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

async function openSafetensors(
  source: ByteSource,
  options: ReadOptions,
): Promise<ContainerContents> {
  const { text, length } = await readHeader(source, options);
  const { entries, metadata } = parseHeader(text, source.label);
  checkTiling(entries, source.size - 8 - length, source.label);
  const dataStart = 8 + length;
  const tensors = new Map<string, StoredTensor>();
  for (const { name, type, shape, begin, end } of entries) {
    const read = (how: ReadOptions) => source.read(dataStart + begin, end - begin, how);
    tensors.set(name, { type, shape, read });
  }
  return { tensors, metadata };
}

async function readHeader(source: ByteSource, options: ReadOptions) {
  const { label, size } = source;
  const first = await source.read(0, 8, options);
  const length = new DataView(first.buffer).getBigUint64(0, true);
  if (length > BigInt(size - 8)) {
    throw new FormatError(
      `Reading ${label} as safetensors: its header should take ${length} bytes, and only ` +
        `${size - 8} follow; the file is cut short or no safetensors file.`,
    );
  }
  if (length > BigInt(longestHeader)) {
    throw new FormatError(
      `Reading ${label} as safetensors: its header should take ${length} bytes, and the format ` +
        `allows ${longestHeader}.`,
    );
  }
  const bytes = await source.read(8, Number(length), options);
  try {
    // A byte order mark must not be swallowed: the first byte has to be "{".
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    return { text, length: Number(length) };
  } catch (cause) {
    throw new FormatError(`Reading ${label} as safetensors: its header is not UTF-8 text.`, {
      cause,
    });
  }
}

function parseHeader(text: string, label: string) {
  const json = new JsonCursor(text, `safetensors header of ${label}`);
  if (!text.startsWith('{')) json.fail('"{" was expected as the first byte');
  const entries: HeaderEntry[] = [];
  const metadata = new Map<string, string>();
  json.object((key) => {
    if (key === '__metadata__') json.object((name) => metadata.set(name, json.string()));
    else entries.push(parseEntry(json, key));
  });
  if (/[^ ]/.test(json.rest())) json.fail('something other than spaces follows the header');
  return { entries, metadata };
}

function parseEntry(json: JsonCursor, name: string): HeaderEntry {
  let dtype: string | undefined;
  let shape: number[] | undefined;
  let offsets: number[] | undefined;
  const counts = () => {
    const list: number[] = [];
    json.array(() => list.push(json.count()));
    return list;
  };
  json.object((key) => {
    if (key === 'dtype') dtype = json.string();
    else if (key === 'shape') shape = counts();
    else if (key === 'data_offsets') offsets = counts();
    else json.skip();
  });
  const tensor = `tensor ${quote(name)}`;
  if (dtype === undefined) return json.fail(`${tensor} has no dtype`);
  if (shape === undefined) return json.fail(`${tensor} has no shape`);
  if (offsets?.length !== 2) return json.fail(`${tensor} has no pair of data_offsets`);
  const type = elementTypes.get(dtype);
  if (!type) return json.fail(`${tensor} has the unknown dtype ${quote(dtype)}`);
  const [begin, end] = offsets;
  if (begin > end) return json.fail(`${tensor} ends at ${end} before it begins at ${begin}`);
  const bytes = bytesOf(shape, type);
  if (bytes !== end - begin) {
    const needs = bytes === undefined ? 'no whole number of bytes, or too many' : `${bytes} bytes`;
    return json.fail(
      `${tensor} has ${end - begin} bytes, and ${type.name} [${shape.slice(0, 8).join(', ')}] takes ${needs}`,
    );
  }
  return { name, type, shape, begin, end };
}

function bytesOf(shape: Shape, type: PlainElementType): number | undefined {
  const count = safeElementCount(shape);
  const bits = count === undefined ? NaN : count * type.bits;
  return Number.isSafeInteger(bits) && bits % 8 === 0 ? bits / 8 : undefined;
}

/** In order of their offsets, tensors must cover the data exactly: no hole, overlap or rest. */
function checkTiling(entries: readonly HeaderEntry[], dataBytes: number, label: string): void {
  const sorted = entries.toSorted((a, b) => a.begin - b.begin || a.end - b.end);
  let covered = 0;
  for (const { name, begin, end } of sorted) {
    const tensor = `Reading ${label} as safetensors: tensor ${quote(name)}`;
    if (end > dataBytes) {
      throw new FormatError(
        `${tensor} ends at byte ${end} of the data, which has ${dataBytes}; the file is cut short ` +
          `or its header is wrong.`,
      );
    }
    if (begin !== covered) {
      const problem = begin < covered ? 'overlaps the one before it' : 'leaves a hole before it';
      throw new FormatError(
        `${tensor} ${problem}: it begins at byte ${begin} of the data, ${covered} was expected.`,
      );
    }
    covered = end;
  }
  if (covered !== dataBytes) {
    throw new FormatError(
      `Reading ${label} as safetensors: ${dataBytes - covered} bytes after the last tensor belong ` +
        `to none; the header is wrong or the file has grown.`,
    );
  }
}
