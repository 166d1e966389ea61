import {
  FormatError,
  UsageError,
  type Shape,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { blockFormats } from './blocks/block-formats.ts';
import type { BlockFormat } from './blocks/block-format.ts';
import { closedError, type ReadOptions } from './byte-source.ts';
import type { MetadataList, StoredTensor, StoredVocabulary } from './container.ts';
import { nearNames } from './near-names.ts';
import {
  openFiles,
  type OpenedFiles,
  type OpenFilesOptions,
  type WeightFiles,
} from './open-files.ts';
import type { WeightInput } from './open-source.ts';
import { quote } from './quote.ts';
import { undoLayout } from './undo-layout.ts';

/** What a file says of one of its tensors. */
export interface OpenedEntry extends WeightEntry {
  /** The format of its blocks, for quantised tensors; `dtype` is then f32, which `read` makes of them. */
  readonly blocks?: BlockFormat | undefined;
}

/** A tensor that a file holds and that cannot be read, since no dtype of the family fits it. */
export interface UnsupportedEntry {
  /** As safetensors or ggml names it: `I64`, `BOOL`, `IQ4_XS`. */
  readonly elementType: string;
  readonly shape: Shape;
}

export type OpenWeightsOptions = OpenFilesOptions;

/** Weights of a file. */
export interface OpenedWeights extends WeightSource {
  /** The file format: `safetensors`, `torch zip`, `torch legacy`, `GGUF`, `rwkv.cpp`. */
  readonly container: string;
  /**
   * How the file names its tensors and turns their elements: `official`, `Hugging Face`, `web-rwkv` …;
   * undefined for files that are no language model. `tensors` and `read` give the official form always.
   */
  readonly layout: string | undefined;
  /** How many files hold the tensors: more than one where an index was opened. */
  readonly files: number;
  readonly tensors: ReadonlyMap<string, OpenedEntry>;
  /** Tensors that are in the file and not in `tensors`; reading one is a FormatError. */
  readonly unsupported: ReadonlyMap<string, UnsupportedEntry>;
  /** Metadata that are lists, by name; GGUF has such. They stay in the file until they are read. */
  readonly lists: ReadonlyMap<string, MetadataList>;
  /**
   * The vocabulary that the file holds; undefined where it holds none. GGUF files of RWKV hold one.
   *
   * @throws FormatError when it is damaged or of another kind.
   */
  readonly vocabulary: ((options?: ReadOptions) => Promise<StoredVocabulary>) | undefined;
  /**
   * The blocks of a quantised tensor as they lie in the file, row after row, for devices that compute
   * with them.
   *
   * @throws UsageError when there is no such tensor, or it is not quantised.
   */
  readBlocks(name: string, options?: ReadOptions): Promise<Uint8Array>;
}

/**
 * Opens weights: safetensors, what torch.save writes, GGUF, rwkv.cpp files, and the index of a model in
 * several safetensors or torch files, which lie beside it. The format is told by the content, whatever
 * the name. Only headers are read here; each tensor is read by ranges when asked for. Nothing in a file
 * is ever executed. Quantised tensors are read as f32.
 *
 * Prefixes that wrappers put before all names (`_forward_module.`, `model.`, `module.`) are taken off,
 * and the names and orientations of other projects become the official ones. For the layouts of model
 * repositories, the config.json beside the file is read where there is one, for the epsilon of the
 * heads' normalisation: `group_norm_epsilon` in the metadata.
 *
 * @param input a path (Node), an address as text or URL, a Blob or File, bytes, which must stay as
 * they are until `close`, or the Files of a model in several, its index among them.
 * @throws UsageError when there is no such file; FormatError when it is no weight file, or a damaged
 * one, or asks for code to be run; AbortError when `signal` is aborted.
 */
export async function openWeights(
  input: WeightInput | WeightFiles,
  options: OpenWeightsOptions = {},
): Promise<OpenedWeights> {
  const files = await openFiles(input, options);
  try {
    return await inOfficialForm(input, files, options);
  } catch (error) {
    await files.close();
    throw error;
  }
}

async function inOfficialForm(
  input: WeightInput | WeightFiles,
  files: OpenedFiles,
  options: ReadOptions,
): Promise<OpenedWeights> {
  const { label, container, count } = files;
  const { layout, contents } = await undoLayout(input, files, options);
  const tensors = new Map<string, OpenedEntry>();
  const unsupported = new Map<string, UnsupportedEntry>();
  const stored = contents.tensors;
  for (const [name, { type, shape, blocks }] of stored) {
    if (!type.dtype) unsupported.set(name, { elementType: type.name, shape });
    else {
      const entry = { dtype: type.dtype, shape };
      tensors.set(name, blocks ? { ...entry, blocks: blocks.format } : entry);
    }
  }
  let closed = false;
  const check = (how: ReadOptions): void => {
    how.signal?.throwIfAborted();
    if (closed) throw closedError(label);
  };
  return {
    label,
    container,
    layout,
    files: count,
    tensors,
    unsupported,
    metadata: contents.metadata,
    lists: contents.lists ?? new Map(),
    vocabulary: contents.vocabulary,
    async read(name, how = {}) {
      check(how);
      return readable(name, stored, label).read(how);
    },
    async readBlocks(name, how = {}) {
      check(how);
      const { blocks, type } = readable(name, stored, label);
      if (blocks) return blocks.read(how);
      throw new UsageError(
        `Reading ${label}: tensor ${quote(name)} is ${type.name} and has no blocks; read it as it is.`,
      );
    },
    close() {
      closed = true;
      return files.close();
    },
  };
}

function readable(
  name: string,
  stored: ReadonlyMap<string, StoredTensor>,
  label: string,
): StoredTensor {
  const tensor = stored.get(name);
  if (!tensor) {
    const near = nearNames(name, stored.keys()).map(quote).join(', ');
    throw new UsageError(
      `Reading ${label}: it has no tensor ${quote(name)}${near && `; the nearest names are ${near}`}.`,
    );
  }
  if (!tensor.type.dtype) {
    throw new FormatError(
      `Reading ${label}: tensor ${quote(name)} has elements of ${tensor.type.name}, and F32, F16, ` +
        `BF16, I32, U32, ${[...blockFormats.keys()].join(', ')} can be read; convert it.`,
    );
  }
  return tensor;
}
