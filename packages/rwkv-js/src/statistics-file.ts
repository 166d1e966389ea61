import type { ActivationStatistics } from '@rwkv-js/language';
import { FormatError, viewBytes } from '@rwkv-js/tensor';
import {
  openWeights,
  writeSafetensors,
  type ReadOptions,
  type WeightInput,
} from '@rwkv-js/weights';

const format = 'rwkv-js activation statistics 1';

/**
 * Writes what `calibrate` measured as a safetensors file: for each matrix a tensor of its name, the mean
 * square of its input channels, f32 [in]. Node only.
 *
 * @throws UsageError when the path cannot be written.
 */
export async function writeStatistics(
  path: string,
  { tokens, meanSquares }: ActivationStatistics,
): Promise<void> {
  const tensors = Array.from(meanSquares, ([name, { length }]) => {
    return { name, dtype: 'f32' as const, shape: [length] };
  });
  const metadata = new Map([
    ['format', format],
    ['tokens', String(tokens)],
  ]);
  await using writer = await writeSafetensors(path, tensors, { metadata });
  for (const [name, data] of meanSquares) await writer.write(name, data);
  await writer.close();
}

/**
 * Reads a file that `writeStatistics` wrote.
 *
 * @throws FormatError for any other file; UsageError for one that is not there.
 */
export async function readStatistics(
  input: WeightInput,
  options: ReadOptions = {},
): Promise<ActivationStatistics> {
  const source = await openWeights(input, options);
  try {
    const tokens = Number(source.metadata.get('tokens'));
    if (source.metadata.get('format') !== format || !Number.isSafeInteger(tokens)) {
      throw new FormatError(
        `Reading ${source.label}: it holds no activation statistics; rwkv calibrate writes them.`,
      );
    }
    const meanSquares = new Map<string, Float32Array>();
    for (const [name, { dtype }] of source.tensors) {
      const data = viewBytes(dtype, await source.read(name, options));
      if (!(data instanceof Float32Array) || !data.every((x) => x >= 0 && Number.isFinite(x))) {
        throw new FormatError(
          `Reading ${source.label}: '${name}' holds no mean squares; measure them again.`,
        );
      }
      meanSquares.set(name, data);
    }
    return { tokens, meanSquares };
  } finally {
    await source.close();
  }
}
