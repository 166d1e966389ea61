import {
  byteLength,
  dtypeName,
  FormatError,
  packedDType,
  packedForm,
  sameShape,
  type PackedDType,
  type PackedSpec,
  type Shape,
} from '@rwkv-js/tensor';
import type { StoredTensor } from './container.ts';
import { packedElementType } from './element-type.ts';
import { quote } from './quote.ts';

/**
 * How packed tensors lie in a safetensors file, so that any reader of the format can take them apart:
 * tensor `W` packed as q8 is `W.q8`, I8 [out, in], and `W.q8.scales`, F16 [out, in / 32]; as q4, `W.q4` is
 * U8 [out, in / 2]. With blocks along columns, `W.q8-columns`, both are those of W transposed. What the
 * bytes mean is in packed.ts of the tensor package.
 */
export function packedParts(
  name: string,
  spec: PackedSpec,
): readonly [quants: PackedPart, scales: PackedPart] {
  const { dtype } = spec;
  const { lineBytes, blocks, quantBytes } = packedForm(spec);
  const outer = [...spec.shape];
  outer.splice(spec.shape.length + dtype.axis, 1);
  const stored = `${name}.${dtypeName(dtype)}`;
  return [
    {
      name: stored,
      dtype: dtype.bits === 8 ? 'I8' : 'U8',
      shape: [...outer, lineBytes],
      bytes: quantBytes,
    },
    {
      name: `${stored}${scalesSuffix}`,
      dtype: 'F16',
      shape: [...outer, blocks],
      bytes: byteLength(spec) - quantBytes,
    },
  ];
}

/** One of the two tensors of a file that make a packed one. */
export interface PackedPart {
  readonly name: string;
  readonly dtype: string;
  readonly shape: Shape;
  readonly bytes: number;
}

const scalesSuffix = '.scales';

/**
 * The tensors of a file with each pair of quants and scales as the one packed tensor that they make.
 *
 * @throws FormatError for a pair whose types or shapes do not go together.
 */
export function joinPacked(
  tensors: ReadonlyMap<string, StoredTensor>,
  label: string,
): ReadonlyMap<string, StoredTensor> {
  const joined = new Map<string, StoredTensor>();
  for (const [stored, quants] of tensors) {
    const dot = stored.lastIndexOf('.');
    const dtype = packedDType(stored.slice(dot + 1));
    const scales = tensors.get(`${stored}${scalesSuffix}`);
    if (dtype && scales) {
      const name = stored.slice(0, dot);
      if (tensors.has(name) || joined.has(name)) {
        throw new FormatError(
          `Reading ${label}: it has tensor ${quote(name)} twice, packed and not, or packed in two ` +
            'ways; convert the model again.',
        );
      }
      joined.set(name, joinPair(name, dtype, quants, scales, label));
    } else if (!isScales(stored, tensors)) joined.set(stored, quants);
  }
  return joined;
}

function isScales(stored: string, tensors: ReadonlyMap<string, StoredTensor>): boolean {
  if (!stored.endsWith(scalesSuffix)) return false;
  const quants = stored.slice(0, -scalesSuffix.length);
  return (
    tensors.has(quants) && packedDType(quants.slice(quants.lastIndexOf('.') + 1)) !== undefined
  );
}

function joinPair(
  name: string,
  dtype: PackedDType,
  quants: StoredTensor,
  scales: StoredTensor,
  label: string,
): StoredTensor {
  const width = quants.shape.at(-1) ?? 0;
  const byLine = [...quants.shape.slice(0, -1), (width * 8) / dtype.bits];
  const shape = dtype.axis === -1 ? byLine : byLine.toReversed();
  const spec = { dtype, shape };
  const fits = (part: PackedPart, found: StoredTensor): boolean =>
    part.dtype === found.type.name && sameShape(part.shape, found.shape);
  const whole = byLine.at(-1)! % dtype.block === 0 && (dtype.axis === -1 || shape.length === 2);
  const parts = whole && width > 0 ? packedParts(name, spec) : undefined;
  if (!parts || !fits(parts[0], quants) || !fits(parts[1], scales)) {
    const of = ({ type, shape: sizes }: StoredTensor): string =>
      `${type.name} [${sizes.join(', ')}]`;
    throw new FormatError(
      `Reading ${label}: packed tensor ${quote(name)} has quants of ${of(quants)} and scales of ` +
        `${of(scales)}, which do not make a ${dtypeName(dtype)}; the file is damaged: convert again.`,
    );
  }
  return {
    type: packedElementType(dtype),
    shape,
    async read(options) {
      const bytes = new Uint8Array(byteLength(spec));
      bytes.set(await quants.read(options));
      bytes.set(await scales.read(options), parts[0].bytes);
      return bytes;
    },
  };
}
