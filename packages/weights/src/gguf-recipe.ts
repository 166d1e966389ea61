import { FormatError, type Shape, type WeightSource } from '@rwkv-js/tensor';
import { quote } from './quote.ts';

/** What decides the type that a tensor is written in. */
type GgufKind =
  /** Quantised as asked. */
  | 'matrix'
  /** A low-rank factor: llama.cpp's quantiser leaves it, and so do we. F16, or F32 in F32 files. */
  | 'factor'
  /** Always F32. */
  | 'vector';

/** A tensor of a GGUF file and how it is made of official ones. */
export interface GgufPart {
  readonly name: string;
  readonly kind: GgufKind;
  readonly shape: Shape;
  /** The official tensors that it is made of. */
  readonly from: readonly string[];
  /** Its numbers, row-major; those of `from` one after another where it is not given. */
  readonly make?: (parts: readonly Float32Array[]) => Float32Array;
}

/** What llama.cpp's metadata says of a model, and its tensors. */
export interface GgufRecipe {
  readonly architecture: 'rwkv6' | 'rwkv7';
  readonly layers: number;
  readonly width: number;
  readonly feedForwardWidth: number;
  readonly headSize: number;
  readonly vocabularySize: number;
  /** Further whole numbers, by the end of their keys. */
  readonly numbers: Readonly<Record<string, number>>;
  readonly parts: readonly GgufPart[];
}

/**
 * How a model becomes a GGUF file as llama.cpp's converter makes them: names, orientations, joined
 * mixes. specs/rwkv.md §4.7.2, §5.3, §5.4
 *
 * @throws FormatError for a model that is no RWKV-6 or 7, since llama.cpp runs no others.
 */
export function ggufRecipe(source: WeightSource): GgufRecipe {
  const shapes: Shapes = (name) => {
    const entry = source.tensors.get(name);
    if (entry) return entry.shape.filter((size, axis) => size !== 1 || axis > 1);
    throw new FormatError(
      `Writing ${source.label} as GGUF: it has no tensor ${quote(name)}; the model is not whole, or ` +
        'its names are not those of official checkpoints.',
    );
  };
  const has = (name: string): boolean => source.tensors.has(name);
  if (has('blocks.0.att.r_k')) return recipe7(shapes, layersOf(source));
  if (has('blocks.0.att.time_maa_x')) return recipe6(shapes, layersOf(source));
  throw new FormatError(
    `Writing ${source.label} as GGUF: it is no RWKV-6 and no RWKV-7, which are the ones that ` +
      'llama.cpp runs; write it as safetensors.',
  );
}

type Shapes = (name: string) => Shape;

function layersOf({ tensors }: WeightSource): number {
  let layers = 0;
  while (tensors.has(`blocks.${layers}.ln1.weight`)) layers++;
  return layers;
}

function frame(shapes: Shapes, layers: number, layer: (i: number) => GgufPart[]): GgufPart[] {
  const [vocabulary, width] = shapes('emb.weight') as [number, number];
  const pair = (name: string, official: string): GgufPart[] =>
    ['weight', 'bias'].map((half) => vector(`${name}.${half}`, width, `${official}.${half}`));
  return [
    matrix('token_embd.weight', [vocabulary, width], 'emb.weight'),
    ...pair('token_embd_norm', 'blocks.0.ln0'),
    ...Array.from({ length: layers }, (_, i) => [
      ...pair(`blk.${i}.attn_norm`, `blocks.${i}.ln1`),
      ...pair(`blk.${i}.attn_norm_2`, `blocks.${i}.ln2`),
      ...pair(`blk.${i}.time_mix_ln`, `blocks.${i}.att.ln_x`),
      ...['receptance', 'key', 'value', 'output'].map((name) =>
        matrix(
          `blk.${i}.time_mix_${name}.weight`,
          shapes(`blocks.${i}.att.${name}.weight`),
          `blocks.${i}.att.${name}.weight`,
        ),
      ),
      ...['key', 'value'].map((name) =>
        matrix(
          `blk.${i}.channel_mix_${name}.weight`,
          shapes(`blocks.${i}.ffn.${name}.weight`),
          `blocks.${i}.ffn.${name}.weight`,
        ),
      ),
      ...layer(i),
    ]).flat(),
    ...pair('output_norm', 'ln_out'),
    matrix('output.weight', [vocabulary, width], 'head.weight'),
  ];
}

function recipe7(shapes: Shapes, layers: number): GgufRecipe {
  const [vocabularySize, width] = shapes('emb.weight') as [number, number];
  const [feedForwardWidth] = shapes('blocks.0.ffn.key.weight') as [number];
  const [heads, headSize] = shapes('blocks.0.att.r_k') as [number, number];
  const attention = heads * headSize;
  const rank = (letter: string, layer: number): number =>
    shapes(`blocks.${layer}.att.${letter}1`)[1]!;
  const parts = frame(shapes, layers, (i) => {
    const att = `blocks.${i}.att.`;
    // Layer 0 mixes no first value in; llama.cpp wants something there and gets copies of a.
    const letterOf = (letter: string): string => (letter === 'v' && i === 0 ? 'a' : letter);
    return [
      {
        name: `blk.${i}.time_mix_lerp_fused.weight`,
        kind: 'vector',
        shape: [6, 1, 1, width],
        from: ['r', 'w', 'k', 'v', 'a', 'g'].map((letter) => `${att}x_${letter}`),
      },
      ...['w', 'a', 'v'].map((letter) =>
        vector(`blk.${i}.time_mix_${letter}0.weight`, attention, `${att}${letterOf(letter)}0`),
      ),
      ...['w', 'a', 'v', 'g'].flatMap((letter) => [
        transposed(
          `blk.${i}.time_mix_${letter}1.weight`,
          [width, rank(letterOf(letter), i)],
          `${att}${letterOf(letter)}1`,
        ),
        transposed(
          `blk.${i}.time_mix_${letter}2.weight`,
          [rank(letterOf(letter), i), attention],
          `${att}${letterOf(letter)}2`,
        ),
      ]),
      ...['k_k', 'k_a', 'r_k'].map((name) =>
        vector(`blk.${i}.time_mix_${name}.weight`, attention, `${att}${name}`),
      ),
      vector(`blk.${i}.channel_mix_lerp_k.weight`, width, `blocks.${i}.ffn.x_k`),
    ];
  });
  return {
    architecture: 'rwkv7',
    layers,
    width,
    feedForwardWidth,
    headSize,
    vocabularySize,
    numbers: {
      'attention.decay_lora_rank': rank('w', 0),
      'attention.iclr_lora_rank': rank('a', 0),
      'attention.value_residual_mix_lora_rank': rank('v', Math.min(1, layers - 1)),
      'attention.gate_lora_rank': rank('g', 0),
    },
    parts,
  };
}

function recipe6(shapes: Shapes, layers: number): GgufRecipe {
  const [vocabularySize, width] = shapes('emb.weight') as [number, number];
  const [feedForwardWidth] = shapes('blocks.0.ffn.key.weight') as [number];
  const [heads, headSize] = shapes('blocks.0.att.time_faaaa') as [number, number];
  const attention = heads * headSize;
  const [, mixRank] = shapes('blocks.0.att.time_maa_w2') as [number, number];
  const [, decayRank] = shapes('blocks.0.att.time_decay_w1') as [number, number];
  const parts = frame(shapes, layers, (i) => {
    const [att, ffn] = [`blocks.${i}.att.`, `blocks.${i}.ffn.`];
    return [
      vector(`blk.${i}.time_mix_lerp_x.weight`, width, `${att}time_maa_x`),
      {
        name: `blk.${i}.time_mix_lerp_fused.weight`,
        kind: 'vector',
        shape: [5, 1, 1, width],
        from: ['w', 'k', 'v', 'r', 'g'].map((letter) => `${att}time_maa_${letter}`),
      },
      transposed(`blk.${i}.time_mix_w1.weight`, [width, 5 * mixRank], `${att}time_maa_w1`),
      {
        name: `blk.${i}.time_mix_w2.weight`,
        kind: 'factor',
        shape: [5, width, mixRank],
        from: [`${att}time_maa_w2`],
        make: ([ups]) => transpose(ups!, mixRank, width),
      },
      vector(`blk.${i}.time_mix_decay.weight`, attention, `${att}time_decay`),
      transposed(`blk.${i}.time_mix_decay_w1.weight`, [width, decayRank], `${att}time_decay_w1`),
      transposed(
        `blk.${i}.time_mix_decay_w2.weight`,
        [decayRank, attention],
        `${att}time_decay_w2`,
      ),
      {
        name: `blk.${i}.time_mix_first.weight`,
        kind: 'vector',
        shape: [heads, headSize],
        from: [`${att}time_faaaa`],
      },
      matrix(`blk.${i}.time_mix_gate.weight`, [attention, width], `${att}gate.weight`),
      vector(`blk.${i}.channel_mix_lerp_k.weight`, width, `${ffn}time_maa_k`),
      vector(`blk.${i}.channel_mix_lerp_r.weight`, width, `${ffn}time_maa_r`),
      matrix(
        `blk.${i}.channel_mix_receptance.weight`,
        shapes(`${ffn}receptance.weight`),
        `${ffn}receptance.weight`,
      ),
    ];
  });
  return {
    architecture: 'rwkv6',
    layers,
    width,
    feedForwardWidth,
    headSize,
    vocabularySize,
    numbers: {
      rescale_every_n_layers: 0,
      time_mix_extra_dim: mixRank,
      time_decay_extra_dim: decayRank,
    },
    parts,
  };
}

const matrix = (name: string, shape: Shape, from: string): GgufPart => ({
  name,
  kind: 'matrix',
  shape,
  from: [from],
});

const vector = (name: string, size: number, from: string): GgufPart => ({
  name,
  kind: 'vector',
  shape: [size],
  from: [from],
});

/** A factor that is written the other way round than it is stored. */
const transposed = (name: string, [rows, columns]: Shape, from: string): GgufPart => ({
  name,
  kind: 'factor',
  shape: [columns!, rows!],
  from: [from],
  make: ([stored]) => transpose(stored!, rows!, columns!),
});

/** Matrices of `rows` by `columns` one after another, each transposed. */
function transpose(values: Float32Array, rows: number, columns: number): Float32Array {
  const result = new Float32Array(values.length);
  for (let base = 0; base < values.length; base += rows * columns) {
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        result[base + column * rows + row] = values[base + row * columns + column]!;
      }
    }
  }
  return result;
}
