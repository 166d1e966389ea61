import { isFloating, type TensorSpec } from '@rwkv-js/tensor';
import { broadcastShape } from './floats.ts';

/** Throws a ShapeError that quotes the operation, its arguments and this sentence. */
export type Fail = (expected: string) => never;

/** Shape rule of operations on every element of x: the same shape, f32. */
export function likeX([x]: readonly TensorSpec[], _: unknown, fail: Fail): readonly TensorSpec[] {
  if (!isFloating(x!.dtype)) fail('x must be of a floating dtype');
  return [{ dtype: 'f32', shape: x!.shape }];
}

/** Shape rule of operations on two tensors element by element: their shapes broadcast, f32. */
export function broadcast(
  [a, b]: readonly TensorSpec[],
  _: unknown,
  fail: Fail,
): readonly TensorSpec[] {
  if (!isFloating(a!.dtype) || !isFloating(b!.dtype)) fail('both must be of a floating dtype');
  const shape = broadcastShape(a!.shape, b!.shape);
  if (!shape) return fail('aligned from the last axis, sizes must be equal or 1');
  return [{ dtype: 'f32', shape }];
}

/** The two sizes of a matrix, or a ShapeError. */
export function matrix(spec: TensorSpec, name: string, fail: Fail): readonly [number, number] {
  if (spec.shape.length !== 2) fail(`${name} must have 2 axes`);
  return [spec.shape[0]!, spec.shape[1]!];
}

/** Checks that a tensor holds `sizes` and is floating; `what` spells the sizes in the error. */
export function expectFloats(
  spec: TensorSpec,
  name: string,
  sizes: readonly number[],
  what: string,
  fail: Fail,
): void {
  const fits =
    spec.shape.length === sizes.length && spec.shape.every((size, axis) => size === sizes[axis]);
  if (!fits || !isFloating(spec.dtype)) {
    fail(`${name} must be floating ${what} = [${sizes.join(', ')}]`);
  }
}

/** Checks a state of sequences: f32, slot axis first. */
export function expectState(
  spec: TensorSpec,
  name: string,
  sizes: readonly number[],
  what: string,
  fail: Fail,
): void {
  if (spec.dtype !== 'f32') fail(`${name} must be f32 ${what} = [${sizes.join(', ')}]`);
  expectFloats(spec, name, sizes, what, fail);
}

/** The two sizes of a matrix of real numbers, or a ShapeError. */
export function floatMatrix(spec: TensorSpec, name: string, fail: Fail): readonly [number, number] {
  if (!isFloating(spec.dtype)) fail(`${name} must be of a floating dtype`);
  return matrix(spec, name, fail);
}

/** Checks an i32 vector of `length` elements. */
export function expectIndexes(spec: TensorSpec, name: string, length: number, fail: Fail): void {
  if (spec.dtype !== 'i32' || spec.shape.length !== 1 || spec.shape[0] !== length) {
    fail(`${name} must be i32[${length}]`);
  }
}

/** Checks that a tensor is i32 and holds `sizes`; `what` spells the sizes in the error. */
export function expectIntegers(
  spec: TensorSpec,
  name: string,
  sizes: readonly number[],
  what: string,
  fail: Fail,
): void {
  if (spec.dtype !== 'i32' || spec.shape.join() !== sizes.join()) {
    fail(`${name} must be i32 ${what} = [${sizes.join(', ')}]`);
  }
}
