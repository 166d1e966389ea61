import { FormatError, UsageError } from '@rwkv-js/tensor';
import { beside } from './beside.ts';
import type { ReadOptions } from './byte-source.ts';
import { isList, type WeightFiles } from './open-files.ts';
import { openSource, type WeightInput } from './open-source.ts';
import { groupNormEpsilonKey } from './layouts/layout.ts';

/** What a model repository's config.json says that its tensors do not. */
export interface HubConfig {
  /** For the metadata, see `groupNormEpsilonKey`. */
  readonly groupNormEpsilon: number | undefined;
  /** The layer norm of the embedding is in the embedding already and must not be applied again. */
  readonly embeddingNormFolded: boolean;
}

/** Far above any config.json, far below what would hurt. */
const largestConfig = 1_000_000;

/**
 * Reads the config.json beside a weight file at a path or an address, or among Files; undefined where there is none,
 * or none of an RWKV model. Specification, names of RWKV-5 / RWKV-6 and of RWKV-7; traps.
 *
 * @throws FormatError when it is no JSON object.
 */
export async function readHubConfig(
  input: WeightInput | WeightFiles,
  options: ReadOptions,
): Promise<HubConfig | undefined> {
  const config = isList(input)
    ? input.find(({ name }) => name === 'config.json')
    : beside(input, 'config.json');
  if (config === undefined) return undefined;
  const source = await openSource(config, options).catch((error: unknown) => {
    // Not there, or not to be had: the official settings hold.
    if (error instanceof UsageError || error instanceof FormatError) return undefined;
    throw error;
  });
  if (!source) return undefined;
  try {
    if (source.size > largestConfig) return undefined;
    const text = new TextDecoder().decode(await source.read(0, source.size, options));
    return parseConfig(text, source.label);
  } finally {
    await source.close();
  }
}

function parseConfig(text: string, label: string): HubConfig | undefined {
  let config: unknown;
  try {
    config = JSON.parse(text);
  } catch (cause) {
    throw new FormatError(
      `Reading ${label}, which lies beside the weights: it is no JSON; download it again or take ` +
        `it away.`,
      { cause },
    );
  }
  if (typeof config !== 'object' || config === null) return undefined;
  const fields = new Map<string, unknown>(Object.entries(config));
  if (!String(fields.get('model_type')).startsWith('rwkv')) return undefined;
  return {
    groupNormEpsilon: epsilonOf(fields),
    embeddingNormFolded: fields.get('embedding_layer_norm_fused') === true,
  };
}

/** Said as it is, or as those engines compute it: for heads of a size, or for heads that are divided. */
function epsilonOf(fields: ReadonlyMap<string, unknown>): number | undefined {
  const number = (name: string): number => {
    const value = fields.get(name);
    return typeof value === 'number' && value > 0 ? value : NaN;
  };
  const epsilons = [
    number('group_norm_epsilon'),
    number('head_dim') * number('norm_eps'),
    number('head_size_divisor') ** 2 * number('layer_norm_epsilon'),
  ];
  return epsilons.find((epsilon) => epsilon < 1);
}

/** The metadata of a file with what its config.json adds; what the file itself says stays. */
export function withEpsilon(
  metadata: ReadonlyMap<string, string>,
  epsilon: number | undefined,
): ReadonlyMap<string, string> {
  if (epsilon === undefined || metadata.has(groupNormEpsilonKey)) return metadata;
  return new Map([...metadata, [groupNormEpsilonKey, String(epsilon)]]);
}
