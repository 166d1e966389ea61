import {
  convert,
  dtypeName,
  FormatError,
  isFloating,
  isPacked,
  viewBytes,
  type WeightSource,
} from '@rwkv-js/tensor';
import type { ModelConfig } from './config.ts';

/**
 * The state that sessions begin with, where the tensors have a tuned one: `blocks.{i}.att.time_state`
 * [heads, value, key]. Models without one begin with zeros. Specification, state tuning.
 *
 * @returns by the names of the model's states, in their order of axes: RWKV-5 and 6 keep [heads, key, value],
 * RWKV-7 keeps [heads, value, key]
 * @throws FormatError when it is not of this model's sizes, or a layer has none.
 */
export async function readTunedState(
  source: WeightSource,
  config: ModelConfig,
  options: { readonly signal?: AbortSignal | undefined } = {},
): Promise<ReadonlyMap<string, Float32Array>> {
  const { label, tensors } = source;
  const states = new Map<string, Float32Array>();
  if (![...tensors.keys()].some((name) => name.endsWith('.att.time_state'))) return states;
  const { layers, heads, headSize, version } = config;
  const expected = `[${heads}, ${headSize}, ${headSize}]`;
  if (version === '4') {
    throw new FormatError(
      `${label} has a tuned state, and RWKV-4 has no such state; it is for another model`,
    );
  }
  checkLayers(source, layers);
  for (let layer = 0; layer < layers; layer++) {
    const name = `blocks.${layer}.att.time_state`;
    const entry = tensors.get(name);
    if (!entry) {
      throw new FormatError(
        `${label} has a tuned state without '${name}'; the model has ${layers} layers, and each has one`,
      );
    }
    const found = `[${entry.shape.join(', ')}]`;
    if (found !== expected || isPacked(entry.dtype) || !isFloating(entry.dtype)) {
      throw new FormatError(
        `tensor '${name}' of ${label} is ${dtypeName(entry.dtype)} ${found}; the state of this model is ` +
          `${expected}: the tuned state is for another model`,
      );
    }
    const data = viewBytes(entry.dtype, await source.read(name, options));
    const values = Float32Array.from(convert(data, entry.dtype, 'f32'));
    if (!values.every(Number.isFinite)) {
      throw new FormatError(`tensor '${name}' of ${label} has numbers that are not finite`);
    }
    states.set(`state.${layer}.wkv`, version === '7' ? values : transposed(values, headSize));
  }
  return states;
}

function checkLayers({ label, tensors }: WeightSource, layers: number): void {
  for (const name of tensors.keys()) {
    const layer = /^blocks\.(\d+)\.att\.time_state$/.exec(name)?.[1];
    if (layer === undefined || Number(layer) < layers) continue;
    throw new FormatError(
      `${label} has the tuned state '${name}', and the model has ${layers} layers; it is for another model`,
    );
  }
}

/** Every head's matrix with its axes swapped. */
function transposed(values: Float32Array, size: number): Float32Array {
  return Float32Array.from(values, (_, at) => {
    const [head, row, column] = [
      Math.floor(at / size ** 2),
      Math.floor(at / size) % size,
      at % size,
    ];
    return values[head * size ** 2 + column * size + row]!;
  });
}
