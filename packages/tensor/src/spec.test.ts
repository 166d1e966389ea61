import { expect, test } from 'vitest';
import {
  bf16,
  byteLength,
  elementCount,
  f16,
  f32,
  formatSpec,
  i32,
  isShape,
  sameShape,
  sameSpec,
  spec,
  u32,
} from './spec.ts';

test('the short forms give dtype and shape', () => {
  expect([f32(2, 3), f16(2), bf16(), i32(1), u32(4)]).toEqual([
    { dtype: 'f32', shape: [2, 3] },
    { dtype: 'f16', shape: [2] },
    { dtype: 'bf16', shape: [] },
    { dtype: 'i32', shape: [1] },
    { dtype: 'u32', shape: [4] },
  ]);
  expect(spec('f32', 2)).toEqual(f32(2));
});

test('a shape without axes holds one element, one with a size of 0 holds none', () => {
  expect([elementCount([]), elementCount([2, 3]), elementCount([2, 0, 3])]).toEqual([1, 6, 0]);
  expect([byteLength(f32()), byteLength(f16(2, 3)), byteLength(i32(0))]).toEqual([4, 12, 0]);
});

test('shapes are the same when all sizes are, specs when the dtype is too', () => {
  expect(sameShape([1, 2], [1, 2])).toBe(true);
  expect(sameShape([1, 2], [2, 1])).toBe(false);
  expect(sameShape([1, 2], [1, 2, 1])).toBe(false);
  expect(sameShape([], [])).toBe(true);
  expect(sameSpec(f32(2), f32(2))).toBe(true);
  expect(sameSpec(f32(2), f16(2))).toBe(false);
});

test('sizes are whole numbers from 0', () => {
  expect([[], [0], [3, 4]].every(isShape)).toBe(true);
  expect([[-1], [1.5], [NaN], [Infinity], [2 ** 60]].some(isShape)).toBe(false);
});

test('a spec prints as dtype and sizes', () => {
  expect(formatSpec(f32(4, 256))).toBe('f32[4, 256]');
  expect(formatSpec(i32())).toBe('i32[]');
});
