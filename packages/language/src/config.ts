import { FormatError, UsageError, type WeightEntry, type WeightSource } from '@rwkv-js/tensor';

/** The official generations. 5.0 has no gate, 5.1 one decay a head, 5.2 one decay a channel. */
export type Version = '4' | '5.0' | '5.1' | '5.2' | '6' | '7';

/** Everything about a model that its programs depend on. Read off the tensors' names and shapes. */
export interface ModelConfig {
  readonly version: Version;
  readonly layers: number;
  /** Width of the residual stream. */
  readonly width: number;
  /** Width of the time mixing; the same as `width` in every released model. */
  readonly attentionWidth: number;
  /** Hidden width of the channel mixing. */
  readonly feedForwardWidth: number;
  /** Rows of the embedding; at least the number of tokens of the tokenizer. */
  readonly vocabularySize: number;
  /** 0 for version 4, whose state has no heads. */
  readonly heads: number;
  readonly headSize: number;
  /** Ranks of the low-rank factors by the letter or name the version gives them. */
  readonly ranks: Readonly<Record<string, number>>;
  /** Added to the variance of every head's normalisation. 64e−5 in all official models. */
  readonly groupNormEpsilon: number;
  /** The file has no `ln0`: its embedding is normalised already. Specification, folding ln0. */
  readonly embeddingNormFolded: boolean;
}

/** Tensors by name, without their numbers, what came with them, and what errors call them. */
export type NamedTensors = Pick<WeightSource, 'label' | 'tensors'> &
  Partial<Pick<WeightSource, 'metadata'>>;

export interface ConfigOptions {
  /**
   * Overrides the epsilon of the head normalisation, for weights that were made with another. Without
   * it, `group_norm_epsilon` of the source's metadata holds, and without that 64e−5.
   */
  readonly groupNormEpsilon?: number | undefined;
}

/** Epsilon of the layer norms of every generation. */
export const layerNormEpsilon = 1e-5;

/** The tensor of the time mixing that has a row for each head; version 4 has no heads. */
const headRows: Readonly<Record<Version, string | undefined>> = {
  '4': undefined,
  '5.0': 'time_decay',
  '5.1': 'time_decay',
  '5.2': 'time_decay',
  '6': 'time_faaaa',
  '7': 'r_k',
};

/** Tensor names that belong to experiments which share a generation's other names. */
const foreign = [
  /\.ffn\.s_emb/,
  /\.qkv\./,
  /\.ffn\.enn/,
  /rosa/,
  /tiny_[qkv]/,
  /^head_[qk]/,
  /ffnPre/,
  /^pos_emb/,
  /time_maa_rkvw/,
];

/**
 * Reads version and sizes off a model's tensors (specification, reading version and sizes).
 *
 * @throws FormatError when the tensors are not those of an official RWKV-4, 5, 6 or 7 language model.
 */
export function readConfig(source: NamedTensors, options: ConfigOptions = {}): ModelConfig {
  const { tensors, label } = source;
  for (const name of tensors.keys()) {
    if (foreign.some((pattern) => pattern.test(name))) {
      throw new FormatError(
        `${label} has the tensor '${name}' of an experimental RWKV variant; ` +
          'official RWKV-4, 5, 6 and 7 models are supported',
      );
    }
  }
  const entry = (name: string): WeightEntry => {
    const found = tensors.get(name);
    if (found) return found;
    throw new FormatError(
      `${label} has no tensor '${name}', which every RWKV language model in official names has; ` +
        'is it a whole RWKV checkpoint?',
    );
  };
  const matrixSize = (name: string, axis: number): number => {
    const { shape } = entry(name);
    if (shape.length !== 2) {
      throw new FormatError(
        `tensor '${name}' of ${label} has shape [${shape.join(', ')}]; a matrix was expected`,
      );
    }
    return shape[axis]!;
  };

  const groupNormEpsilon = options.groupNormEpsilon ?? epsilonOf(source) ?? 64e-5;
  if (!(groupNormEpsilon > 0 && groupNormEpsilon < 1)) {
    throw new UsageError(
      `groupNormEpsilon is ${groupNormEpsilon}; it must be above 0 and below 1, and is 64e-5 in ` +
        'official models',
    );
  }
  for (const [name, { shape }] of tensors) {
    if (shape.every((size) => size >= 1)) continue;
    throw new FormatError(
      `tensor '${name}' of ${label} has the shape [${shape.join(', ')}] and so no elements; ` +
        'every tensor of a model has some: the file is damaged',
    );
  }
  const layers = countLayers(source);
  const version = readVersion(tensors);
  const attentionWidth = matrixSize('blocks.0.att.key.weight', 0);
  const perHead = headRows[version];
  const heads = perHead === undefined ? 0 : (entry(`blocks.0.att.${perHead}`).shape[0] ?? 1);
  if (heads > 0 && attentionWidth % heads !== 0) {
    throw new FormatError(
      `${label} has ${heads} heads and 'blocks.0.att.key.weight' has ${attentionWidth} rows; ` +
        'the heads must divide them equally',
    );
  }
  return {
    version,
    layers,
    width: matrixSize('emb.weight', 1),
    attentionWidth,
    feedForwardWidth: matrixSize('blocks.0.ffn.key.weight', 0),
    vocabularySize: matrixSize('emb.weight', 0),
    heads,
    headSize: heads === 0 ? 0 : attentionWidth / heads,
    ranks: readRanks(version, layers, matrixSize, entry),
    groupNormEpsilon,
    embeddingNormFolded: ['weight', 'bias'].every((part) => !tensors.has(`blocks.0.ln0.${part}`)),
  };
}

/** What the metadata say of the epsilon. */
function epsilonOf({ metadata, label }: NamedTensors): number | undefined {
  const text = metadata?.get('group_norm_epsilon');
  if (text === undefined) return undefined;
  const epsilon = Number(text);
  if (epsilon > 0 && epsilon < 1) return epsilon;
  throw new FormatError(
    `the metadata of ${label} say that group_norm_epsilon is ${JSON.stringify(text.slice(0, 40))}; ` +
      'a number above 0 and below 1 was expected',
  );
}

function readVersion(tensors: ReadonlyMap<string, WeightEntry>): Version {
  const has = (name: string): boolean => tensors.has(`blocks.0.att.${name}`);
  if (has('r_k') || has('k_k')) return '7';
  if ([...tensors.keys()].some((name) => name.includes('time_maa'))) return '6';
  if (!has('ln_x.weight')) return '4';
  if (!has('gate.weight')) return '5.0';
  const decay = tensors.get('blocks.0.att.time_decay')?.shape ?? [];
  return decay.filter((n) => n !== 1).length < 2 ? '5.1' : '5.2';
}

function countLayers({ tensors, label }: NamedTensors): number {
  const blocks = new Set<number>();
  for (const name of tensors.keys()) {
    const match = /^blocks\.(\d+)\./.exec(name);
    // A tuned state is no part of a block, and says itself when it is of other blocks.
    if (match && !name.endsWith('.time_state')) blocks.add(Number(match[1]));
  }
  for (let layer = 0; layer < blocks.size; layer++) {
    if (!blocks.has(layer)) {
      throw new FormatError(
        `${label} has tensors of ${blocks.size} blocks, but none of block ${layer}; ` +
          'a part of the checkpoint is missing',
      );
    }
  }
  if (blocks.size > 0) return blocks.size;
  const names = [...tensors.keys()].slice(0, 3).join(', ');
  throw new FormatError(
    `${label} has no tensors 'blocks.0.…' of an RWKV model in official names; ` +
      `its first ones are ${names || 'none'}`,
  );
}

function readRanks(
  version: Version,
  layers: number,
  matrixSize: (name: string, axis: number) => number,
  entry: (name: string) => WeightEntry,
): Readonly<Record<string, number>> {
  const att = 'blocks.0.att';
  switch (version) {
    case '4':
    case '5.0':
    case '5.1':
    case '5.2':
      return {};
    case '6':
      return {
        maa: entry(`${att}.time_maa_w2`).shape[1] ?? 0,
        decay: matrixSize(`${att}.time_decay_w1`, 1),
      };
    case '7':
      return {
        w: matrixSize(`${att}.w1`, 1),
        a: matrixSize(`${att}.a1`, 1),
        // Layer 0 gives the first value and mixes none in; its v0, v1, v2 may be there, unused.
        v: layers > 1 ? matrixSize('blocks.1.att.v1', 1) : 0,
        g: matrixSize(`${att}.g1`, 1),
      };
  }
}
