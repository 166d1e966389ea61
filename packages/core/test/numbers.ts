import { convert, elementCount, tensor, type HostTensor, type Shape } from '@rwkv-js/tensor';

/** `count` numbers from −2 to 2 that an f32 holds; the same for the same seed. */
export function numbers(seed: number, count: number): Float32Array {
  let bits = seed;
  return Float32Array.from({ length: count }, () => {
    // The generator of Lehmer with Park and Miller's second multiplier.
    bits = ((bits + 12345) * 48271) % 2147483647;
    return (bits / 2147483647) * 4 - 2;
  });
}

/** A tensor of seeded numbers. */
export function randomTensor(
  seed: number,
  shape: Shape,
  dtype: 'f32' | 'f16' | 'bf16' = 'f32',
): HostTensor {
  return tensor(shape, numbers(seed, elementCount(shape)), dtype);
}

/** The elements of a tensor as numbers, those of 16-bit floats too. */
export function elementsOf({ data, dtype }: HostTensor): number[] {
  const halves = dtype === 'f16' || dtype === 'bf16';
  return [...(halves ? convert(data, dtype, 'f32') : data)];
}

/** The same tensor in f32. */
export function widened(of: HostTensor): HostTensor {
  return tensor(of.shape, elementsOf(of));
}

/** The largest distance between two lists of numbers, relative to the largest of them. */
export function relativeError(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  const pairs = Array.from(found, (element, i) => [element, expected[i]] as const);
  const size = Math.max(...pairs.map(([, element]) => Math.abs(element)), 1e-30);
  return Math.max(0, ...pairs.map(([a, b]) => Math.abs(a - b))) / size;
}

/** Rows of a matrix [rows, columns]. */
export function rowsOf(data: ArrayLike<number>, columns: number): number[][] {
  return Array.from({ length: data.length / columns }, (_, row) =>
    Array.from({ length: columns }, (_unused, column) => data[row * columns + column]),
  );
}
