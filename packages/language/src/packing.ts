import {
  canPack,
  convert,
  dtypeName,
  isFloating,
  isPacked,
  pack,
  q4,
  q8,
  transposedDType,
  unpack,
  UsageError,
  viewBytes,
  type BlockRounding,
  type PackedDType,
  type PackedSpec,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';

/** Formats that a model's matrices can be packed in; packed.ts of the tensor package says what they are. */
export type PackingFormat = 'q8' | 'q4';

export interface PackingOptions {
  /** How the quants of a tensor are chosen; rounding to the nearest where it gives nothing. */
  readonly rounding?: (name: string, spec: PackedSpec) => BlockRounding | undefined;
}

/**
 * How a tensor of an official checkpoint is packed; undefined for one that stays as it is. Matrices that
 * are multiplied row by row have blocks along their rows. The value matrix of the channel mixing is read
 * by columns, so that those that meet a zero are skipped, and low-rank factors lie transposed. What the
 * 4-bit format costs most it leaves at 8 bits: the embedding, of which a step reads one row, and the
 * low-rank factors, which are small.
 */
export function packingOf(
  name: string,
  { dtype, shape }: WeightEntry,
  format: PackingFormat,
): PackedDType | undefined {
  if (!isFloating(dtype) || isPacked(dtype)) return undefined;
  const wide = format === 'q4' ? q4 : q8;
  const rules: readonly (readonly [pattern: RegExp, dtype: PackedDType])[] = [
    [/^emb\.weight$/, q8],
    [/^head\.weight$/, wide],
    [/\.att\.(receptance|key|value|gate|output)\.weight$/, wide],
    [/\.ffn\.(key|receptance)\.weight$/, wide],
    [/\.ffn\.value\.weight$/, transposedDType(wide)],
    [/\.att\.([wavg]1|time_(decay|maa)_w1)$/, transposedDType(q8)],
    [/\.att\.([wavg]2|time_(decay|maa)_w2)$/, q8],
  ];
  const packed = rules.find(([pattern]) => pattern.test(name))?.[1];
  return packed && canPack({ dtype: packed, shape }) ? packed : undefined;
}

/**
 * The same weights with their matrices packed, each when it is read. What is packed already stays as it
 * is.
 *
 * @throws UsageError for a format that is none.
 */
export function packedWeights(
  source: WeightSource,
  format: PackingFormat,
  { rounding }: PackingOptions = {},
): WeightSource {
  if (format !== 'q8' && format !== 'q4') {
    throw new UsageError(
      `weights cannot be packed as ${String(format)}; the formats are q8 and q4`,
    );
  }
  const packings = new Map<string, PackedSpec>();
  const tensors = new Map<string, WeightEntry>();
  for (const [name, entry] of source.tensors) {
    const dtype = packingOf(name, entry, format);
    if (dtype) packings.set(name, { dtype, shape: entry.shape });
    tensors.set(name, dtype ? { dtype, shape: entry.shape } : entry);
  }
  return {
    label: `${source.label} as ${format}`,
    tensors,
    metadata: source.metadata,
    async read(name, options) {
      const bytes = await source.read(name, options);
      const spec = packings.get(name);
      if (!spec) return bytes;
      return pack(spec, asFloats(source.tensors.get(name)!, bytes), rounding?.(name, spec));
    },
    close: () => source.close(),
  };
}

/** The numbers of a tensor's bytes. */
function asFloats({ dtype, shape }: WeightEntry, bytes: Uint8Array): Float32Array {
  if (isPacked(dtype)) return unpack({ dtype, shape }, bytes);
  const wide = convert(viewBytes(dtype, bytes), dtype, 'f32');
  if (wide instanceof Float32Array) return wide;
  throw new UsageError(`${dtypeName(dtype)} elements are no real numbers`);
}
