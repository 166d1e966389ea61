import { UsageError } from '@rwkv-js/tensor';
import { beside } from './beside.ts';
import type { ByteSource, ReadOptions } from './byte-source.ts';
import { openContainer, readHead, type OpenedContainer } from './open-container.ts';
import { openSource, type WeightInput } from './open-source.ts';
import { quote } from './quote.ts';
import { isShardIndex, openShards, type OpenPart } from './shards.ts';

/** The files of a model in several, as a page gets them when a folder is dropped on it. */
export type WeightFiles = readonly File[];

export interface OpenFilesOptions extends ReadOptions {
  /**
   * Opens a file that the index of a model in several names, for an index that does not say where it lies.
   * Default: it lies beside a path or an address.
   */
  readonly openPart?: OpenPart | undefined;
}

/** A weight file, or several that an index holds together. */
export interface OpenedFiles extends OpenedContainer {
  /** What errors call them. */
  readonly label: string;
  /** How many files hold the tensors. */
  readonly count: number;
  close(): Promise<void>;
}

/** Opens a file, and where it is the index of others, those. */
export async function openFiles(
  input: WeightInput | WeightFiles,
  { openPart: given, ...options }: OpenFilesOptions,
): Promise<OpenedFiles> {
  const { first, openPart: found } = isList(input)
    ? inList(input, options)
    : inFolder(input, options);
  const openPart = given ?? found;
  const source = await openSource(first, options);
  const { label } = source;
  try {
    const head = await readHead(source, options);
    if (!isShardIndex(head)) {
      const opened = await openContainer(source, head, options);
      return { ...opened, label, count: 1, close: () => source.close() };
    }
    const { sources, ...opened } = await openShards(source, openPart, options);
    await source.close();
    const close = async (): Promise<void> => {
      await Promise.all(sources.map((part) => part.close()));
    };
    return { ...opened, label, count: sources.length, close };
  } catch (error) {
    await source.close();
    throw error;
  }
}

interface Inputs {
  /** The weight file, or the index. */
  readonly first: WeightInput;
  readonly openPart: OpenPart;
}

/** True for a list of Files. */
export const isList = (input: WeightInput | WeightFiles): input is WeightFiles =>
  Array.isArray(input);

function inFolder(input: WeightInput, options: ReadOptions): Inputs {
  return {
    first: input,
    openPart(name): Promise<ByteSource> {
      const part = beside(input, name);
      if (part !== undefined) return openSource(part, options);
      throw new UsageError(
        'it lies beside the index, and the index was given without a folder; give the files ' +
          'together: openWeights([index, ...files])',
      );
    },
  };
}

function inList(files: WeightFiles, options: ReadOptions): Inputs {
  const where = `Opening ${files.length} files`;
  const strange = files.find((file) => !(file instanceof File));
  if (strange !== undefined) {
    throw new UsageError(`${where}: a list of File objects was expected, found ${typeof strange}.`);
  }
  const indexes = files.filter(({ name }) => name.endsWith('.index.json'));
  if (files.length !== 1 && indexes.length !== 1) {
    throw new UsageError(
      `${where}: ${indexes.length || 'none'} of them ${indexes.length > 1 ? 'are' : 'is'} an index ` +
        `(.index.json), one was expected; give the files of one model and its index, or one file.`,
    );
  }
  return {
    first: indexes[0] ?? files[0],
    async openPart(name) {
      const part = files.find((file) => file.name === name);
      if (part) return openSource(part, options);
      throw new UsageError(`${where}: there is no ${quote(name)} among them.`);
    },
  };
}
