import type { Device } from './device.ts';
import { isPacked, hostArray, type HostArray, type PlainDType } from './dtype.ts';
import { ShapeError, UsageError } from './errors.ts';
import type { HostTensor } from './op.ts';
import { record, type Value } from './record.ts';
import { elementCount, formatSpec, type Shape } from './spec.ts';

/**
 * A tensor in host memory from its shape and elements, row-major.
 *
 * @throws ShapeError when there are not as many elements as the shape holds.
 */
export function tensor(
  shape: Shape,
  elements: HostArray | readonly number[],
  dtype: PlainDType = 'f32',
): HostTensor {
  if (elements.length !== elementCount(shape)) {
    throw new ShapeError(
      `a tensor of shape [${shape.join(', ')}] was given ${elements.length} elements; ` +
        `it holds ${elementCount(shape)}`,
    );
  }
  if (elements instanceof Float64Array && dtype === 'f32') return { dtype, shape, data: elements };
  const data = hostArray(dtype, elements.length);
  data.set(elements);
  return { dtype, shape, data };
}

/**
 * Records, compiles and runs a function once: for tests and for play. Every array is an input.
 *
 * ```ts
 * const [y] = await evaluate(device, (x, weight) => [linear(x, weight)], x, weight);
 * ```
 *
 * @returns the outputs in the order the function gives them
 */
export async function evaluate(
  device: Device,
  build: (...values: Value[]) => readonly Value[],
  ...arrays: readonly HostTensor[]
): Promise<HostTensor[]> {
  const program = record('evaluate', (recorder) => {
    const values = arrays.map((array, i) => recorder.input(`input${i}`, array));
    return Object.fromEntries(build(...values).map((value, i) => [`output${i}`, value]));
  });
  const executable = await device.compile(program);
  try {
    executable.run(Object.fromEntries(arrays.map((array, i) => [`input${i}`, array.data])));
    const results: HostTensor[] = [];
    for (const [name, id] of program.outputs) {
      const { shape, dtype } = program.values[id]!.spec;
      if (isPacked(dtype))
        throw new UsageError(`evaluate cannot read ${formatSpec({ shape, dtype })}`);
      results.push({ dtype, shape, data: (await executable.read(name))[name]! });
    }
    return results;
  } finally {
    executable.dispose();
  }
}
