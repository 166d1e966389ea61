import { elementCount, UsageError, type WeightEntry, type WeightSource } from '@rwkv-js/tensor';
import { specificationNumber } from './specification-numbers.ts';

/** A model of the specification's appendix and what it must compute. */
export interface SpecificationModel {
  readonly version: '4' | '5.0' | '5.1' | '5.2' | '6' | '7';
  /** Logits after `specificationPrompt` from the beginning, six decimals. */
  readonly logits: readonly number[];
}

export const specificationPrompt: readonly number[] = [1, 7, 7, 0, 11, 4, 2];

/** The six models: 2 layers, width 16, 2 heads of 8, vocabulary 12. */
export const specificationModels: readonly SpecificationModel[] = [
  {
    version: '4',
    logits: [
      -0.421503, -0.036762, -0.375661, -2.772356, 0.405893, 0.202841, 1.005363, -0.055702,
      -1.070773, 0.03963, -0.838919, -2.262959,
    ],
  },
  {
    version: '5.0',
    logits: [
      1.066204, 1.235799, -0.569771, -0.161439, -1.881719, -0.810924, 1.982218, -0.345128, -0.0502,
      1.498769, -1.299835, -0.194116,
    ],
  },
  {
    version: '5.1',
    logits: [
      -0.637388, 0.54585, 0.43074, 0.244721, 0.4612, 0.049641, -1.07495, 0.469572, 1.512427,
      0.921595, -0.092468, 1.484576,
    ],
  },
  {
    version: '5.2',
    logits: [
      -0.2743, 0.444194, 0.470311, 0.147307, 0.349043, -0.405606, -1.123939, 0.217364, 1.640329,
      0.98469, -0.319982, 1.487015,
    ],
  },
  {
    version: '6',
    logits: [
      0.083251, 0.740331, -1.887948, -1.473192, -2.340732, 0.477001, 0.842948, 0.19963, -0.642273,
      1.004109, -2.101857, 1.887403,
    ],
  },
  {
    version: '7',
    logits: [
      -0.178345, 1.118894, -1.24342, -1.074706, -1.413059, 1.024925, -0.451595, -0.512723, -1.07692,
      -0.041031, 0.123803, 1.276237,
    ],
  },
];

const layers = 2;
const width = 16;
const heads = 2;
const headSize = 8;
const vocabulary = 12;

/** A model of the appendix as named tensors, made from its formula; nothing is read from disk. */
export function specificationWeights(version: SpecificationModel['version']): WeightSource {
  const shapes = new Map<string, readonly number[]>();
  const norm = (name: string): void => {
    shapes.set(`${name}.weight`, [width]).set(`${name}.bias`, [width]);
  };
  shapes.set('emb.weight', [vocabulary, width]).set('head.weight', [vocabulary, width]);
  norm('blocks.0.ln0');
  norm('ln_out');
  for (let layer = 0; layer < layers; layer++) {
    const block = `blocks.${layer}`;
    norm(`${block}.ln1`);
    norm(`${block}.ln2`);
    if (version !== '4') norm(`${block}.att.ln_x`);
    for (const [name, shape] of Object.entries(layerShapes(version, layer))) {
      shapes.set(`${block}.${name}`, shape);
    }
  }
  const names = [...shapes.keys()].sort();
  const tensors = new Map<string, WeightEntry>(
    [...shapes].map(([name, shape]) => [name, { dtype: 'f32', shape }]),
  );
  return {
    label: `the specification's RWKV-${version}`,
    tensors,
    metadata: new Map(),
    async read(name) {
      const shape = shapes.get(name);
      if (!shape)
        throw new UsageError(`the specification's RWKV-${version} has no tensor '${name}'`);
      const k = names.indexOf(name) + 1;
      const form = formOf(name);
      const data = Float32Array.from({ length: elementCount(shape) }, (_, e) =>
        form(specificationNumber(1000 * k + e)),
      );
      return new Uint8Array(data.buffer);
    },
    close: async () => undefined,
  };
}

function formOf(name: string): (x: number) => number {
  if (/\.?ln(0|1|2|_x|_out)\./.test(name)) {
    return name.endsWith('.weight') ? (x) => 1 + x / 4 : (x) => x / 4;
  }
  if (/\.(x_[rwkvag]|time_mix_[kvrg]|time_maa_[xwkvrg])$/.test(name)) return (x) => (x + 1) / 2;
  if (/\.k_[ka]$/.test(name)) return (x) => 1 + x / 4;
  return (x) => x / 2;
}

function layerShapes(
  version: SpecificationModel['version'],
  layer: number,
): Record<string, readonly number[]> {
  const vector = [1, 1, width];
  const square = [width, width];
  const hidden = version === '4' || version === '7' ? 64 : 32;
  const matrices = (names: string): Record<string, readonly number[]> =>
    Object.fromEntries(names.split(' ').map((name) => [`att.${name}.weight`, square]));
  const vectors = (prefix: string, letters: string): Record<string, readonly number[]> =>
    Object.fromEntries([...letters].map((letter) => [`${prefix}${letter}`, vector]));
  const shared = {
    ...matrices('receptance key value output'),
    'ffn.key.weight': [hidden, width],
    'ffn.value.weight': [width, hidden],
  };
  const gatedChannelMix = { ...shared, 'ffn.receptance.weight': square };
  switch (version) {
    case '4':
      return {
        ...gatedChannelMix,
        ...vectors('att.time_mix_', 'kvr'),
        ...vectors('ffn.time_mix_', 'kr'),
        'att.time_decay': [width],
        'att.time_first': [width],
      };
    case '5.0':
    case '5.1':
    case '5.2': {
      const perHead = version === '5.2' ? [heads, headSize] : [heads];
      return {
        ...gatedChannelMix,
        ...vectors('att.time_mix_', version === '5.0' ? 'kvr' : 'kvrg'),
        ...vectors('ffn.time_mix_', 'kr'),
        ...(version === '5.0' ? {} : matrices('gate')),
        'att.time_decay': perHead,
        [version === '5.0' ? 'att.time_first' : 'att.time_faaaa']: perHead,
      };
    }
    case '6':
      return {
        ...gatedChannelMix,
        ...matrices('gate'),
        ...vectors('att.time_maa_', 'xwkvrg'),
        ...vectors('ffn.time_maa_', 'kr'),
        'att.time_maa_w1': [width, 5 * 3],
        'att.time_maa_w2': [5, 3, width],
        'att.time_decay': vector,
        'att.time_decay_w1': [width, 4],
        'att.time_decay_w2': [4, width],
        'att.time_faaaa': [heads, headSize],
      };
    case '7': {
      const lowRank = (letter: string, rank: number): Record<string, readonly number[]> => ({
        [`att.${letter}1`]: [width, rank],
        [`att.${letter}2`]: [rank, width],
        ...(letter === 'g' ? {} : { [`att.${letter}0`]: vector }),
      });
      return {
        ...shared,
        ...vectors('att.x_', 'rwkvag'),
        ...vectors('att.k_', 'ka'),
        ...lowRank('w', 3),
        ...lowRank('a', 4),
        ...(layer === 0 ? {} : lowRank('v', 5)),
        ...lowRank('g', 6),
        'att.r_k': [heads, headSize],
        'ffn.x_k': vector,
      };
    }
  }
}
