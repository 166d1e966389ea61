import type { Shape } from '@rwkv-js/tensor';

/** Where the elements of a tensor lie in its storage; all numbers count elements. */
export interface StridedView {
  readonly offset: number;
  readonly shape: Shape;
  readonly strides: readonly number[];
}

/** Number of elements from the first to the last that the view touches, both included. */
export function spanOf({ shape, strides }: StridedView): number {
  if (shape.includes(0)) return 0;
  return shape.reduce((span, size, axis) => span + (size - 1) * strides[axis], 1);
}

/** True when the elements lie one after another in row-major order. */
export function isContiguous({ shape, strides }: StridedView): boolean {
  let expected = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    // The stride of an axis of one element is never used, and torch writes anything there.
    if (shape[axis] !== 1 && strides[axis] !== expected) return false;
    expected *= shape[axis];
  }
  return true;
}

/**
 * The elements of a view in row-major order.
 *
 * @param span the bytes of all elements from the view's first to its last, aligned to an element.
 * @param result room for the view's elements.
 */
export function gather<Words extends Uint16Array | Uint32Array>(
  span: Words,
  { shape, strides }: StridedView,
  result: Words,
): void {
  // Axes of one element would only be counted through.
  const axes = shape.flatMap((size, axis) => (size === 1 ? [] : [axis]));
  const index = axes.map(() => 0);
  let from = 0;
  for (let to = 0; to < result.length; to++) {
    result[to] = span[from];
    for (let i = axes.length - 1; i >= 0; i--) {
      const axis = axes[i];
      from += strides[axis];
      if (++index[i] < shape[axis]) break;
      from -= strides[axis] * index[i];
      index[i] = 0;
    }
  }
}
