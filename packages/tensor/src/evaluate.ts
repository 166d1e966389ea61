import { setElements, type Elements } from './convert.ts';
import type { Device } from './device.ts';
import { hostArray, type PlainDType } from './dtype.ts';
import { ShapeError } from './errors.ts';
import type { HostTensor } from './op.ts';
import { record, type Value } from './record.ts';
import { elementCount, type Shape } from './spec.ts';

/**
 * A tensor in host memory from its shape and elements, row-major. Numbers are rounded to the dtype,
 * but doubles given for f32 stay doubles; a Uint16Array holds the bits of 16-bit floats.
 *
 * @throws ShapeError when there are not as many elements as the shape holds; UsageError for a typed
 * array that is not of the dtype.
 */
export function tensor(shape: Shape, elements: Elements, dtype: PlainDType = 'f32'): HostTensor {
  if (elements.length !== elementCount(shape)) {
    throw new ShapeError(
      `a tensor of shape [${shape.join(', ')}] was given ${elements.length} elements; ` +
        `it holds ${elementCount(shape)}`,
    );
  }
  if (elements instanceof Float64Array && dtype === 'f32') return { dtype, shape, data: elements };
  const data = hostArray(dtype, elements.length);
  setElements(data, dtype, elements);
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
    const outputs = await executable.read(...program.outputs.keys());
    return [...program.outputs].map(([name, id]) => {
      const { shape, dtype } = program.values[id]!.spec;
      return { dtype, shape, data: outputs[name]! };
    });
  } finally {
    executable.dispose();
  }
}
