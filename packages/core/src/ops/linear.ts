import {
  defineOp,
  elementCount,
  halfValues,
  isFloating,
  isPacked,
  q8Activations,
  sameDType,
  unpackLines,
  type HostTensor,
  type PackedSpec,
  type Value,
} from '@rwkv-js/tensor';
import { concat } from './concat.ts';
import { floats, rowsAsFloats, type Floats } from './floats.ts';
import { matrix } from './shape-rules.ts';
import { slice } from './slice.ts';
import { transpose } from './transpose.ts';

export interface LinearOptions {
  /**
   * True where all of x may be far below 1, as gradients are: a device may count on rows whose largest
   * elements are about 1 where it splits numbers for its matrix units.
   */
  readonly faint?: boolean;
}

/**
 * Matrix product with a weight matrix as torch's `Linear` stores it: y[t, o] = Σ_i x[t, i] · W[o, i].
 *
 * x: [tokens, in], f32, or what `quantize` made of it; weight: [out, in], f32, f16, bf16 or packed, which
 * stays as it is in memory. Result: f32 [tokens, out]. A row of the result depends on its row of x
 * alone. Where both are packed along `in`, the products within a block are exact in integers, and so
 * they are summed on every device; blocks along `out` serve rows of x with many zeros.
 */
export const linear = defineOp<(x: Value, weight: Value, options?: LinearOptions) => Value>({
  name: 'linear',
  arguments: ['x', 'weight'],
  infer([x, weight], _, fail) {
    const [tokens, width] = matrix(x!, 'x', fail);
    const [out, input] = matrix(weight!, 'weight', fail);
    if (x!.dtype !== 'f32' && !sameDType(x!.dtype, q8Activations)) {
      fail('x must be f32 or quantized activations');
    }
    if (!isFloating(weight!.dtype)) fail('weight must be of a floating dtype');
    if (width !== input) fail('x [tokens, in] and weight [out, in] must have the same in');
    return [{ dtype: 'f32', shape: [tokens, out] }];
  },
  reference({ inputs, outputs }) {
    const [x, weight] = [inputs[0]!, inputs[1]!];
    const [tokens, width] = [x.shape[0]!, x.shape[1]!];
    const out = weight.shape[0]!;
    // Widening x once spares the processor a conversion at every product.
    const rows = new Float64Array(floats(x));
    const y = outputs[0]!.data as Floats;
    if (isPacked(weight.dtype) && weight.dtype.axis === -2) {
      byColumns(rows, weight, y);
      return;
    }
    const sums = new Float64Array(4);
    const halves = pairsOfHalves(weight);
    const values = halves && halfValues(weight.dtype as 'f16' | 'bf16');
    // Four rows of the matrix are read together, and serve every token while they are in the cache.
    // The last four may overlap with those before: their sums come out the same again.
    for (let o = 0; o < out; o += 4) {
      const first = Math.max(0, Math.min(o, out - 4));
      const wide = halves ? undefined : rowsAsFloats(weight, first, Math.min(4, out));
      for (let t = 0; t < tokens; t++) {
        if (wide) fourSums(rows, t * width, width, wide, sums);
        else {
          const token = rows.subarray(t * width, (t + 1) * width);
          fourSumsOfHalves(token, halves!, (first * width) / 2, values!, sums);
        }
        for (let i = 0; i < 4 && first + i < out; i++) y[t * out + first + i] = sums[i]!;
      }
    }
  },
  byRows: {
    argument: 1,
    build: ([x, weight], parts, options): readonly Value[] => [
      joined(parts.map((part) => linear(x!, slice(weight!, { axis: 0, ...part }), options))),
    ],
  },
  gradient: ({ inputs: [x, weight], cotangents: [y] }): readonly Value[] => [
    linear(y!, transpose(weight!), { faint: true }),
    linear(transpose(y!), transpose(x!), { faint: true }),
  ],
  operations: ([x, weight]) => 2 * x!.shape[0]! * elementCount(weight!.shape),
});

/** Columns of a result one after another, a few at a time: a kernel binds no more. */
function joined(parts: readonly Value[]): Value {
  const few = 4;
  if (parts.length <= few) return concat(parts, { axis: 1 });
  const groups: Value[] = [];
  for (let i = 0; i < parts.length; i += few) groups.push(joined(parts.slice(i, i + few)));
  return joined(groups);
}

/**
 * Products of the `width` elements of x from `from` on with four rows of a matrix, which lie one after
 * another. Four sums that run side by
 * side let the processor begin a product before the one before it has ended, and each element of x is
 * read once for all four.
 */
function fourSums(
  x: Float64Array,
  from: number,
  width: number,
  weight: Floats,
  sums: Float64Array,
): void {
  const [second, third, fourth] = [width, 2 * width, 3 * width];
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  for (let i = 0; i < width; i++) {
    const element = x[from + i]!;
    sum0 += element * weight[i]!;
    sum1 += element * weight[second + i]!;
    sum2 += element * weight[third + i]!;
    sum3 += element * weight[fourth + i]!;
  }
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
}

/** Products with a matrix that is packed along its columns: those that meet a zero are not read. */
function byColumns(x: Float64Array, { dtype, shape, data }: HostTensor, y: Floats): void {
  const [out, width] = shape as [number, number];
  const tokens = x.length / width;
  const sums = new Float64Array(tokens * out);
  for (let i = 0; i < width; i++) {
    let column: Float32Array | undefined;
    for (let t = 0; t < tokens; t++) {
      const factor = x[t * width + i]!;
      if (factor === 0) continue;
      column ??= unpackLines({ dtype, shape } as PackedSpec, data as Uint8Array, i, 1);
      for (let o = 0; o < out; o++) sums[t * out + o]! += factor * column[o]!;
    }
  }
  y.set(sums);
}

/**
 * A matrix of 16-bit floats with two of them in each element: half as many reads. Undefined for other
 * dtypes, and where rows do not begin at whole pairs.
 */
function pairsOfHalves({ data, shape }: HostTensor): Uint32Array | undefined {
  if (!(data instanceof Uint16Array) || shape[1]! % 2 !== 0 || data.byteOffset % 4 !== 0) {
    return undefined;
  }
  return new Uint32Array(data.buffer, data.byteOffset, data.length / 2);
}

/**
 * The same over 16-bit floats, whose values a table gives by their bits. `first` is where the first
 * of the four rows begins among the pairs.
 */
function fourSumsOfHalves(
  x: Float64Array,
  pairs: Uint32Array,
  first: number,
  values: Float32Array,
  sums: Float64Array,
): void {
  const half = x.length / 2;
  const second = first + half;
  const third = second + half;
  const fourth = third + half;
  let sum0 = 0;
  let sum1 = 0;
  let sum2 = 0;
  let sum3 = 0;
  for (let i = 0; i < half; i++) {
    const even = x[2 * i]!;
    const odd = x[2 * i + 1]!;
    const pair0 = pairs[first + i]!;
    const pair1 = pairs[second + i]!;
    const pair2 = pairs[third + i]!;
    const pair3 = pairs[fourth + i]!;
    sum0 += even * values[pair0 & 0xffff]! + odd * values[pair0 >>> 16]!;
    sum1 += even * values[pair1 & 0xffff]! + odd * values[pair1 >>> 16]!;
    sum2 += even * values[pair2 & 0xffff]! + odd * values[pair2 >>> 16]!;
    sum3 += even * values[pair3 & 0xffff]! + odd * values[pair3 >>> 16]!;
  }
  sums[0] = sum0;
  sums[1] = sum1;
  sums[2] = sum2;
  sums[3] = sum3;
}
