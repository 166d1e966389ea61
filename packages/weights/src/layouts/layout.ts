import type { ContainerContents, StoredTensor } from '../container.ts';

/** A file as layouts see it: what its header says, and what lies around that. */
export interface FileContents extends ContainerContents {
  /** What errors call the file. */
  readonly label: string;
  /** Its file format, as `Container.name` spells it. */
  readonly container: string;
}

/**
 * How one family of files names its tensors and turns their elements, and how that is undone, so that
 * models see official names, official orientation and raw numbers only. To add one: write its file,
 * and list it in layouts.ts.
 */
export interface Layout {
  /** What listings and errors call it: `official`, `Hugging Face`. */
  readonly name: string;
  /** Its files lie in repositories whose config.json says what the tensors do not. */
  readonly hasConfig?: true;
  /** True when these are tensors of a language model, or of an adapter to one, in this layout. */
  recognises(contents: FileContents): boolean;
  /**
   * The same tensors under official names. Nothing is read; each is turned when it is read. Tensors
   * that the layout does not know keep their names, so that models can refuse what they do not know.
   *
   * @throws FormatError for shapes that the layout does not have.
   */
  apply(contents: FileContents): ReadonlyMap<string, StoredTensor>;
}

/**
 * The metadata key of the epsilon of the heads' normalisation, where a file or its config.json says
 * one. Models take it for `groupNormEpsilon`.
 */
export const groupNormEpsilonKey = 'group_norm_epsilon';
