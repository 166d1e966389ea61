import {
  canPack,
  convert,
  dtypeName,
  firstNotFinite,
  FormatError,
  isFloating,
  isPacked,
  leastError,
  pack,
  q4,
  q8,
  transposedDType,
  unpack,
  UsageError,
  viewBytes,
  type DType,
  type HostArray,
  type PackedDType,
  type PackedSpec,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import type { ActivationStatistics } from './calibration.ts';

/** What a model's matrices can be kept in; packed.ts of the tensor package says what q8 and q4 are. */
export const weightFormats = ['f32', 'f16', 'bf16', 'q8', 'q4'] as const;

export type WeightFormat = (typeof weightFormats)[number];

/** Of how weights are packed: another one when the same numbers would give other bytes. */
export const packingVersion = 1;

export interface WeightFormatOptions {
  /**
   * What the matrices are multiplied with, from `calibrate`: errors of rounding to 4 bits are weighed
   * by it. Without it all count alike.
   */
  readonly statistics?: ActivationStatistics | undefined;
}

/** What matters of a matrix for packing it. */
type Kind = 'rows' | 'columns' | 'small rows' | 'small columns';

/**
 * The matrices of official checkpoints and how they are read. What is multiplied row by row has its blocks
 * along the rows. The value matrix of the channel mixing is read by columns, so that those that meet a
 * zero are skipped. Low-rank factors lie transposed; they and the embedding, of which a step reads one
 * row, are small beside the rest, and 4 bits would cost more there than they save.
 */
const matrices: readonly (readonly [pattern: RegExp, kind: Kind])[] = [
  [/^emb\.weight$/, 'small rows'],
  [/^head\.weight$/, 'rows'],
  [/\.att\.(receptance|key|value|gate|output)\.weight$/, 'rows'],
  [/\.ffn\.(key|receptance)\.weight$/, 'rows'],
  [/\.ffn\.value\.weight$/, 'columns'],
  [/\.att\.([wavg]1|time_(decay|maa)_w1)$/, 'small columns'],
  [/\.att\.([wavg]2|time_(decay|maa)_w2)$/, 'small rows'],
];

function packingOf(kind: Kind, format: 'q8' | 'q4'): PackedDType {
  const wide = format === 'q4' && !kind.startsWith('small') ? q4 : q8;
  return kind.endsWith('columns') ? transposedDType(wide) : wide;
}

/** The dtype that a tensor has in a format; undefined where it stays as it is. */
function dtypeIn(
  name: string,
  { dtype, shape }: WeightEntry,
  format: WeightFormat,
): DType | undefined {
  const kind = matrices.find(([pattern]) => pattern.test(name))?.[1];
  if (!kind || !isFloating(dtype)) return undefined;
  if (format !== 'q8' && format !== 'q4') return dtype === format ? undefined : format;
  if (isPacked(dtype)) return undefined;
  const packed = packingOf(kind, format);
  return canPack({ dtype: packed, shape }) ? packed : undefined;
}

/**
 * The same weights with their matrices in another format, each converted when it is read. Vectors stay
 * as they are, and so does what is packed already, or cannot be packed, when the format is a packed one.
 *
 * @param format one for all matrices, or that of each by its name; undefined leaves it as it is
 * @throws UsageError for a format that is none, and for statistics of another model. Reading throws
 * FormatError for numbers that are too large for the format.
 */
export function weightsIn(
  format: WeightFormat | ((name: string) => WeightFormat | undefined),
  source: WeightSource,
  { statistics }: WeightFormatOptions = {},
): WeightSource {
  if (typeof format !== 'function' && !weightFormats.includes(format)) {
    throw new UsageError(
      `weights cannot be had in ${String(format)}; the formats are ${weightFormats.join(', ')}`,
    );
  }
  const targets = new Map<string, DType>();
  for (const [name, entry] of source.tensors) {
    const chosen = typeof format === 'function' ? format(name) : format;
    const dtype = chosen && dtypeIn(name, entry, chosen);
    if (dtype) targets.set(name, dtype);
  }
  const weights = (name: string, { dtype, shape }: PackedSpec): Float32Array | undefined => {
    // Along a column all errors meet the same number.
    if (!statistics || dtype.axis !== -1) return undefined;
    const known = statistics.meanSquares.get(name);
    if (known?.length === shape.at(-1)) return known;
    throw new UsageError(
      `the statistics have ${known ? `${known.length} channels` : 'nothing'} for matrix '${name}' of ` +
        `${source.label}, which takes ${shape.at(-1)}; they are of another model: calibrate this one`,
    );
  };
  const roundings = new Map<string, ReturnType<typeof leastError>>();
  for (const [name, dtype] of targets) {
    if (!isPacked(dtype) || dtype.bits !== 4) continue;
    const spec = { dtype, shape: source.tensors.get(name)!.shape };
    roundings.set(name, leastError(dtype, weights(name, spec)));
  }
  return {
    label: source.label,
    tensors: new Map(
      Array.from(source.tensors, ([name, { dtype, shape }]) => [
        name,
        { dtype: targets.get(name) ?? dtype, shape },
      ]),
    ),
    metadata: source.metadata,
    async read(name, options) {
      const bytes = await source.read(name, options);
      const dtype = targets.get(name);
      if (!dtype) return bytes;
      const { shape } = source.tensors.get(name)!;
      const values = asFloats(source.tensors.get(name)!, bytes);
      checkFinite(values, name, source.label);
      if (isPacked(dtype)) return pack({ dtype, shape }, values, roundings.get(name));
      const converted = convert(values, 'f32', dtype);
      checkRange(converted, dtype, name, source.label);
      return new Uint8Array(converted.buffer, converted.byteOffset, converted.byteLength);
    },
    close: () => source.close(),
  };
}

function checkFinite(values: Float32Array, name: string, label: string): void {
  const bad = firstNotFinite(values, 'f32');
  if (bad < 0) return;
  throw new FormatError(
    `element ${bad} of tensor '${name}' of ${label} is not a finite number; ` +
      'the checkpoint is damaged or its training diverged: use another one',
  );
}

function checkRange(
  converted: HostArray,
  dtype: 'f32' | 'f16' | 'bf16' | 'i32' | 'u32',
  name: string,
  label: string,
): void {
  const bad = firstNotFinite(converted, dtype);
  if (bad < 0) return;
  throw new FormatError(
    `element ${bad} of tensor '${name}' of ${label} is too large for ${dtype}; take bf16 or f32`,
  );
}

/** The numbers of a tensor's bytes. */
function asFloats({ dtype, shape }: WeightEntry, bytes: Uint8Array): Float32Array {
  if (isPacked(dtype)) return unpack({ dtype, shape }, bytes);
  const wide = convert(viewBytes(dtype, bytes), dtype, 'f32');
  if (wide instanceof Float32Array) return wide;
  throw new UsageError(`${dtypeName(dtype)} elements are no real numbers`);
}
