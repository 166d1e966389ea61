import { FormatError, UsageError } from '@rwkv-js/tensor';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import type { StoredTensor } from './container.ts';
import { JsonCursor } from './json-cursor.ts';
import { openContainer, readHead, type OpenedContainer } from './open-container.ts';
import { quote } from './quote.ts';

/** Far above the index of any model. */
const longestIndex = 64 * 1024 * 1024;

/** Opens a file in the folder of the index, by its name. */
export type OpenPart = (name: string) => Promise<ByteSource>;

/** What the files of an index hold together. */
export interface OpenedShards extends OpenedContainer {
  readonly sources: readonly ByteSource[];
}

/**
 * True for the index of a model in several files, `model.safetensors.index.json` or
 * `pytorch_model.bin.index.json`: JSON with a `weight_map`.
 */
export function isShardIndex(head: Uint8Array): boolean {
  const text = new TextDecoder('latin1').decode(head);
  return /^\s*\{/.test(text) && text.includes('"weight_map"');
}

/**
 * The names of the files that an index holds together, which lie beside it.
 *
 * @throws FormatError when the index is damaged or names a file outside its folder.
 */
export async function shardNames(
  index: ByteSource,
  options: ReadOptions = {},
): Promise<readonly string[]> {
  return [...new Set((await readIndex(index, options)).values())];
}

/**
 * Opens every file that an index names and puts their tensors together, in the order of the index.
 * Tensors that the index does not have are left out. specs/rwkv.md §4.2
 *
 * @throws FormatError when the index is damaged or names a file outside its folder, and when a file or
 * tensor is not where it says.
 */
export async function openShards(
  index: ByteSource,
  openPart: OpenPart,
  options: ReadOptions,
): Promise<OpenedShards> {
  const fileOf = await readIndex(index, options);
  const sources: ByteSource[] = [];
  try {
    const files = new Map<string, OpenedContainer>();
    for (const name of new Set(fileOf.values())) {
      files.set(name, await openShard(index, name, openPart, sources, options));
    }
    return { ...together(index, fileOf, files), sources };
  } catch (error) {
    await Promise.all(sources.map((source) => source.close()));
    throw error;
  }
}

/** The file of every tensor. */
async function readIndex(
  index: ByteSource,
  options: ReadOptions,
): Promise<ReadonlyMap<string, string>> {
  if (index.size > longestIndex) {
    throw new FormatError(
      `Reading the index ${index.label}: it has ${index.size} bytes, and ${longestIndex} are allowed.`,
    );
  }
  const bytes = await index.read(0, index.size, options);
  const json = new JsonCursor(new TextDecoder().decode(bytes), `index ${index.label}`);
  const fileOf = new Map<string, string>();
  json.object((key) => {
    if (key !== 'weight_map') return json.skip();
    json.object((tensor) => {
      const file = json.string();
      if (!isFileName(file)) {
        json.fail(
          `tensor ${quote(tensor)} should be in ${quote(file)}, which is not the name of a file ` +
            `beside the index`,
        );
      }
      fileOf.set(tensor, file);
    });
  });
  if (json.rest().trim() !== '') json.fail('something follows the index');
  if (fileOf.size === 0) json.fail('its weight_map names no tensor');
  return fileOf;
}

/** No folder, drive, hidden file or control character: what is named lies beside the index. */
function isFileName(name: string): boolean {
  return /^[^./\\:\p{C}][^/\\:\p{C}]*$/u.test(name);
}

async function openShard(
  index: ByteSource,
  name: string,
  openPart: OpenPart,
  sources: ByteSource[],
  options: ReadOptions,
): Promise<OpenedContainer> {
  try {
    const source = await openPart(name);
    sources.push(source);
    return await openContainer(source, await readHead(source, options), options);
  } catch (cause) {
    if (!(cause instanceof UsageError) && !(cause instanceof FormatError)) throw cause;
    throw new FormatError(
      `Reading the index ${index.label}: its file ${quote(name)} cannot be opened: ${cause.message}`,
      { cause },
    );
  }
}

function together(
  index: ByteSource,
  fileOf: ReadonlyMap<string, string>,
  files: ReadonlyMap<string, OpenedContainer>,
): OpenedContainer {
  const where = `Reading the index ${index.label}: tensor`;
  const tensors = new Map<string, StoredTensor>();
  for (const [name, file] of fileOf) {
    const tensor = files.get(file)?.contents.tensors.get(name);
    if (!tensor) {
      throw new FormatError(
        `${where} ${quote(name)} should be in ${quote(file)}, which has none of that name; the files ` +
          `do not belong together.`,
      );
    }
    tensors.set(name, tensor);
  }
  const metadata = new Map<string, string>();
  for (const [file, { contents }] of files) {
    for (const name of contents.tensors.keys()) {
      const owner = fileOf.get(name);
      if (owner !== undefined && owner !== file) {
        throw new FormatError(
          `${where} ${quote(name)} is in ${quote(file)} and in ${quote(owner)}; only one can be meant.`,
        );
      }
    }
    for (const [key, value] of contents.metadata) metadata.set(key, value);
  }
  const kinds = new Set(Array.from(files.values(), ({ container }) => container));
  return { container: [...kinds].join(', '), contents: { tensors, metadata } };
}
