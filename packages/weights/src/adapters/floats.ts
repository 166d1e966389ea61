import {
  convert,
  FormatError,
  isPacked,
  unpack,
  viewBytes,
  type Shape,
  type WeightSource,
} from '@rwkv-js/tensor';
import { quote } from '../quote.ts';
import type { ReadHow } from './adapter.ts';

/** Elements of a tensor as f32, in memory of the caller's own. */
export async function readFloats(
  source: WeightSource,
  name: string,
  how: ReadHow,
): Promise<Float32Array> {
  const { dtype = 'f32', shape = [] } = source.tensors.get(name) ?? {};
  if (isPacked(dtype)) return unpack({ dtype, shape }, await source.read(name, how));
  const wide = convert(viewBytes(dtype, await source.read(name, how)), dtype, 'f32');
  return wide instanceof Float32Array ? wide : Float32Array.from(wide);
}

/** @throws FormatError when a tensor of an adapter has not so many axes. */
export function shapeOf(source: WeightSource, name: string, axes: readonly number[]): Shape {
  const { shape = [] } = source.tensors.get(name) ?? {};
  if (axes.includes(shape.length) && !shape.includes(0)) return shape;
  throw new FormatError(
    `Reading ${source.label}: tensor ${quote(name)} has the shape [${shape.join(', ')}], and ` +
      `${axes.join(' or ')} axes were expected; the adapter is damaged or of another kind.`,
  );
}
