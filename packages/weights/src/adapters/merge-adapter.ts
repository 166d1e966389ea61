import {
  convert,
  dtypeName,
  FormatError,
  isFloating,
  isPacked,
  type PlainDType,
  type Shape,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { nearNames } from '../near-names.ts';
import { quote } from '../quote.ts';
import type { Adapter } from './adapter.ts';
import { readFloats } from './floats.ts';

/**
 * The weights of a model with an adapter in them. Each matrix is merged in f32 when it is read, and
 * then rounded to the dtype that the model has it in; packed matrices stay f32. The model's file stays as
 * it is. Closing it closes
 * the model and the adapter.
 *
 * @throws FormatError when the adapter is for another model: a tensor that this one lacks, or has in
 * another shape.
 */
export function mergeAdapter(base: WeightSource, adapter: Adapter): WeightSource {
  checkFits(base, adapter);
  const tensors = new Map<string, WeightEntry>(base.tensors);
  for (const [name, entry] of adapter.whole.tensors) tensors.set(name, entry);
  for (const name of adapter.matrices.keys()) {
    const { shape } = matrixOf(base, name);
    tensors.set(name, { dtype: mergedDType(base, name), shape });
  }
  return {
    label: `${base.label} with ${adapter.label}`,
    metadata: base.metadata,
    tensors,
    async read(name, how = {}) {
      if (adapter.whole.tensors.has(name)) return adapter.whole.read(name, how);
      const change = adapter.matrices.get(name);
      if (!change) return base.read(name, how);
      const { shape } = matrixOf(base, name);
      const weights = await readFloats(base, name, how);
      await change.addTo(weights, shape, how);
      const merged = convert(weights, 'f32', mergedDType(base, name));
      return new Uint8Array(merged.buffer as ArrayBuffer, merged.byteOffset, merged.byteLength);
    },
    async close() {
      await adapter.close();
      await base.close();
    },
  };
}

const matrixOf = (base: WeightSource, name: string): WeightEntry => base.tensors.get(name)!;

/** Rounding to packed blocks anew would lose what the adapter adds. */
function mergedDType(base: WeightSource, name: string): PlainDType {
  const { dtype } = matrixOf(base, name);
  return isPacked(dtype) ? 'f32' : dtype;
}

/** @throws FormatError as {@link mergeAdapter}. */
function checkFits(base: WeightSource, adapter: Adapter): void {
  const where = `Adapter ${adapter.label} on ${base.label}`;
  for (const [name, { misfit }] of adapter.matrices) {
    const entry = entryOf(base, name, where);
    if (entry.shape.length !== 2 || !isFloating(entry.dtype)) {
      throw new FormatError(
        `${where}: ${quote(name)} is ${dtypeName(entry.dtype)} [${entry.shape.join(', ')}] and no matrix; the ` +
          `adapter is for another model.`,
      );
    }
    const wanted = misfit(entry.shape);
    if (wanted !== undefined) throw wrongShape(where, name, entry.shape, wanted);
  }
  for (const [name, { shape }] of adapter.whole.tensors) {
    // Models have no tuned state of their own; the model itself looks at its shape.
    if (name.endsWith('.time_state')) continue;
    const entry = entryOf(base, name, where);
    if (bare(entry.shape) !== bare(shape)) {
      throw wrongShape(where, name, entry.shape, `[${shape.join(', ')}]`);
    }
  }
}

function entryOf(base: WeightSource, name: string, where: string): WeightEntry {
  const entry = base.tensors.get(name);
  if (entry) return entry;
  const near = nearNames(name, base.tensors.keys()).map(quote).join(', ');
  throw new FormatError(
    `${where}: it changes ${quote(name)}, which the model does not have` +
      `${near && ` (near are ${near})`}; the adapter is for another model, or the file is no adapter.`,
  );
}

function wrongShape(where: string, name: string, shape: Shape, wanted: string): FormatError {
  return new FormatError(
    `${where}: ${quote(name)} is [${shape.join(', ')}] in the model, and the adapter is for ${wanted}; ` +
      `it was trained on a model of other sizes.`,
  );
}

/** Checkpoints write a vector of C as [C] or as [1, 1, C]; axes of size one do not count. */
const bare = (shape: Shape): string => shape.filter((size) => size !== 1).join(',');
