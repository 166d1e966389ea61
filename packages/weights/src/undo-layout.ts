import type { ReadOptions } from './byte-source.ts';
import type { ContainerContents } from './container.ts';
import { readHubConfig, withEpsilon } from './hub-config.ts';
import { layouts } from './layouts.ts';
import type { OpenedFiles, WeightFiles } from './open-files.ts';
import type { WeightInput } from './open-source.ts';
import { joinPacked } from './packed-tensors.ts';
import { stripPrefixes } from './prefixes.ts';

/** What files hold, in official form, and the name of the layout it was in. */
export interface OfficialContents {
  readonly layout: string | undefined;
  readonly contents: ContainerContents;
}

/**
 * Finds the layout of opened files and undoes it.
 *
 * @throws FormatError when the tensors do not fit it.
 */
export async function undoLayout(
  input: WeightInput | WeightFiles,
  { label, container, contents: found }: OpenedFiles,
  options: ReadOptions,
): Promise<OfficialContents> {
  const file = {
    ...found,
    label,
    container,
    tensors: stripPrefixes(joinPacked(found.tensors, label)),
  };
  const layout = layouts.find(({ recognises }) => recognises(file));
  if (!layout) return { layout: undefined, contents: file };
  const tensors = new Map(layout.apply(file));
  const config = layout.hasConfig ? await readHubConfig(input, options) : undefined;
  if (config?.embeddingNormFolded) {
    for (const name of ['blocks.0.ln0.weight', 'blocks.0.ln0.bias']) tensors.delete(name);
  }
  const metadata = withEpsilon(file.metadata, config?.groupNormEpsilon);
  return { layout: layout.name, contents: { ...file, tensors, metadata } };
}
