import {
  elementCount,
  evaluate,
  ShapeError,
  tensor,
  type HostTensor,
  type Shape,
  type Value,
} from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { openCpu } from '../src/index.ts';
import { elementsOf, numbers, randomTensor } from './numbers.ts';

const dtypes = ['f32', 'f16', 'bf16'] as const;

/** Holds an operation on every element of x against its formula. */
export function describeUnary(
  name: string,
  op: (x: Value) => Value,
  formula: (x: number) => number,
): void {
  describe(name, () => {
    test.each([[[]], [[1]], [[7]], [[3, 5]], [[2, 3, 5]], [[0, 4]]])(
      'computes its formula for every element of %j, from every floating dtype',
      async (shape: Shape) => {
        await using device = openCpu();
        for (const dtype of dtypes) {
          const x = randomTensor(1, shape, dtype);
          const [y] = await evaluate(device, (value) => [op(value)], x);
          expect(y).toEqual(tensor(shape, elementsOf(x).map(formula)));
        }
      },
    );

    test('computes in doubles on a device in doubles', async () => {
      await using device = openCpu({ precision: 'f64' });
      const x = Float64Array.from(numbers(2, 9), (element) => element / 3);
      const [y] = await evaluate(device, (value) => [op(value)], tensor([9], x));
      expect(y.data).toEqual(x.map(formula));
    });

    test('keeps NaN', async () => {
      await using device = openCpu();
      const [y] = await evaluate(device, (value) => [op(value)], tensor([2], [1, NaN]));
      expect([...y.data].map(Number.isNaN)).toEqual([false, true]);
    });

    test('refuses integers', async () => {
      await using device = openCpu();
      const mistake = evaluate(device, (value) => [op(value)], tensor([2], [1, 2], 'i32'));
      await expect(mistake).rejects.toThrow(ShapeError);
      await expect(mistake).rejects.toThrow(`${name}(x i32[2]): x must be of a floating dtype`);
    });
  });
}

/** Holds an operation on two tensors element by element against its formula. */
export function describeBinary(
  name: string,
  op: (a: Value, b: Value) => Value,
  formula: (a: number, b: number) => number,
): void {
  describe(name, () => {
    test.each<[Shape, Shape, Shape]>([
      [
        [3, 5],
        [3, 5],
        [3, 5],
      ],
      [[3, 5], [5], [3, 5]],
      [[5], [3, 5], [3, 5]],
      [
        [3, 5],
        [3, 1],
        [3, 5],
      ],
      [
        [1, 5],
        [3, 1],
        [3, 5],
      ],
      [[], [2, 3], [2, 3]],
      [[], [], []],
      [
        [2, 1, 3],
        [4, 1],
        [2, 4, 3],
      ],
      [[0, 3], [3], [0, 3]],
      [[1], [0], [0]],
    ])('broadcasts %j and %j to %j', async (shapeA, shapeB, shape) => {
      await using device = openCpu();
      for (const dtypeA of dtypes) {
        for (const dtypeB of dtypes) {
          const a = randomTensor(1, shapeA, dtypeA);
          const b = randomTensor(2, shapeB, dtypeB);
          const [y] = await evaluate(device, (x, z) => [op(x, z)], a, b);
          const left = repeated(a, shape);
          const right = repeated(b, shape);
          expect(y).toEqual(
            tensor(
              shape,
              left.map((element, i) => formula(element, right[i])),
            ),
          );
        }
      }
    });

    test.each<[Shape, Shape]>([
      [[3, 5], [3]],
      [
        [2, 3],
        [3, 2],
      ],
      [[0], [2]],
    ])('refuses shapes %j and %j', async (shapeA, shapeB) => {
      await using device = openCpu();
      const a = randomTensor(1, shapeA);
      const b = randomTensor(2, shapeB);
      const mistake = evaluate(device, (x, z) => [op(x, z)], a, b);
      await expect(mistake).rejects.toThrow(ShapeError);
      await expect(mistake).rejects.toThrow(
        `${name}(a f32[${shapeA.join(', ')}], b f32[${shapeB.join(', ')}]): ` +
          'aligned from the last axis, sizes must be equal or 1',
      );
    });

    test('refuses integers on either side', async () => {
      await using device = openCpu();
      const x = randomTensor(1, [2]);
      const i = tensor([2], [1, 2], 'i32');
      for (const pair of [
        [x, i],
        [i, x],
      ]) {
        await expect(evaluate(device, (a, b) => [op(a, b)], ...pair)).rejects.toThrow(
          'both must be of a floating dtype',
        );
      }
    });
  });
}

/** The elements of a tensor repeated to a shape, each found by its index along every axis. */
export function repeated(of: HostTensor, shape: Shape): number[] {
  const elements = elementsOf(of);
  return Array.from({ length: elementCount(shape) }, (_, place) => {
    let rest = place;
    let at = 0;
    let stride = 1;
    for (let axis = 1; axis <= shape.length; axis++) {
      const index = rest % shape[shape.length - axis];
      rest = Math.floor(rest / shape[shape.length - axis]);
      const size = of.shape[of.shape.length - axis] ?? 1;
      at += (size === 1 ? 0 : index) * stride;
      stride *= size;
    }
    return elements[at];
  });
}
