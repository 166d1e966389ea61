import { openCpu, randomBits } from '@rwkv-js/core';
import {
  gradients,
  isFloating,
  record,
  tensor,
  type HostArray,
  type HostTensor,
  type Shape,
  type Value,
} from '@rwkv-js/tensor';
import { expect } from 'vitest';

/** `count` numbers from −1 to 1, the same for the same seed, in double precision. */
export function seededNumbers(seed: number, count: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => randomBits(seed, 0, i) / 2 ** 31 - 1);
}

/** An f32 tensor of `seededNumbers`; a device of double precision gets them as they are. */
export function seededTensor(seed: number, ...shape: number[]): HostTensor {
  return tensor(
    shape,
    seededNumbers(
      seed,
      shape.reduce((a, b) => a * b, 1),
    ),
  );
}

/**
 * The slope of `loss` along one element, by the central difference (f(x + h) − f(x − h)) / 2h. The
 * element is changed for that and put back.
 */
export async function centralDifference(
  loss: () => number | Promise<number>,
  elements: HostArray,
  index: number,
  step = 1e-5,
): Promise<number> {
  const middle = elements[index]!;
  elements[index] = middle + step;
  const above = await loss();
  elements[index] = middle - step;
  const below = await loss();
  elements[index] = middle;
  return (above - below) / (2 * step);
}

/** Fails unless a gradient agrees with a central difference: to one millionth, or 1e−8 near 0. */
export function expectSlope(gradient: number, difference: number, what: string): void {
  const allowed = 1e-6 * Math.max(Math.abs(difference), 1e-2);
  expect(
    Math.abs(gradient - difference),
    `gradient of ${what} is ${gradient}, finite differences give ${difference}`,
  ).toBeLessThanOrEqual(allowed);
}

/** At most `most` places of a tensor, spread over it; the first and last are always among them. */
export function spreadPlaces(shape: Shape, most: number): readonly number[] {
  const count = shape.reduce((a, b) => a * b, 1);
  if (count <= most) return Array.from({ length: count }, (_, i) => i);
  return Array.from({ length: most }, (_, i) => Math.round((i * (count - 1)) / (most - 1)));
}

export interface ExpectGradientsOptions {
  /** Places of the outputs that the loss is made of; all real ones when not given. */
  readonly outputs?: readonly number[];
  /** Places of the arrays to check; all real ones when not given. */
  readonly wrt?: readonly number[];
  /** Elements to check of each array. */
  readonly samples?: number;
}

/**
 * Holds the gradients of what `build` records against finite differences, in double precision on the
 * reference device. The loss is the sum of all outputs times seeded numbers.
 */
export async function expectGradients(
  build: (...values: Value[]) => Value | readonly Value[],
  arrays: readonly HostTensor[],
  { outputs, wrt, samples = 40 }: ExpectGradientsOptions = {},
): Promise<void> {
  await using device = openCpu({ precision: 'f64' });
  const program = record('function', (recorder) => {
    const built = build(...arrays.map((array, i) => recorder.input(`input${i}`, array)));
    const values: readonly Value[] = Array.isArray(built) ? built : [built as Value];
    return Object.fromEntries(values.map((value, i) => [`output${i}`, value]));
  });
  const isReal = (id: number): boolean => isFloating(program.values[id]!.spec.dtype);
  const of = [...program.outputs]
    .filter(([, id], i) => isReal(id) && (outputs?.includes(i) ?? true))
    .map(([name]) => name);
  const places = wrt ?? arrays.flatMap(({ dtype }, i) => (isFloating(dtype) ? [i] : []));
  const cotangents = Object.fromEntries(
    of.map((name, i) => {
      const { shape } = program.values[program.outputs.get(name)!]!.spec;
      return [`cotangent.${name}`, seededTensor(1000 + i, ...shape).data];
    }),
  );
  const inputs = Object.fromEntries(arrays.map(({ data }, i) => [`input${i}`, data]));

  const backward = await device.compile(
    gradients(program, { of, wrt: places.map((i) => `input${i}`) }),
  );
  backward.run({ ...inputs, ...cotangents });
  const forward = await device.compile(program);
  const loss = async (): Promise<number> => {
    forward.run(inputs);
    const results = await forward.read(...of);
    return of.reduce((sum, name) => sum + dot(results[name]!, cotangents[`cotangent.${name}`]!), 0);
  };
  for (const place of places) {
    const name = `gradient.input${place}`;
    const { [name]: found } = await backward.read(name);
    const { data, shape } = arrays[place]!;
    expect(found!.length, name).toBe(data.length);
    for (const index of spreadPlaces(shape, samples)) {
      const difference = await centralDifference(loss, data, index);
      expectSlope(found![index]!, difference, `input ${place}, element ${index}`);
    }
  }
}

/** Sum of products, element by element. */
export function dot(a: HostArray, b: HostArray): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
