import type { RandomNumbers } from './random.ts';

/**
 * A random matrix whose rows are orthonormal, or whose columns are where it has more rows than columns,
 * times `gain`; uniform over all such matrices (Saxe et al. 2013, arXiv 1312.6120). Row-major.
 */
export function orthogonal(
  rows: number,
  columns: number,
  gain: number,
  random: RandomNumbers,
): Float32Array {
  const [count, length] = [Math.min(rows, columns), Math.max(rows, columns)];
  const vectors: Float64Array[] = [];
  for (let i = 0; i < count; i++) {
    const vector = Float64Array.from({ length }, (_, j) => random.normal(i * length + j));
    // Gram and Schmidt, twice: rounding leaves a little of the others after the first time.
    for (let pass = 0; pass < 2; pass++) {
      for (const other of vectors) {
        const share = product(vector, other);
        for (let j = 0; j < length; j++) vector[j]! -= share * other[j]!;
      }
    }
    const norm = Math.sqrt(product(vector, vector));
    vectors.push(vector.map((x) => x / norm));
  }
  return Float32Array.from({ length: rows * columns }, (_, at) => {
    const [row, column] = [Math.floor(at / columns), at % columns];
    return gain * (rows > columns ? vectors[column]![row]! : vectors[row]![column]!);
  });
}

function product(a: Float64Array, b: Float64Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}
