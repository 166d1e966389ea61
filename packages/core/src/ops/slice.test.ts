import { evaluate, ShapeError, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { openCpu } from '../cpu/device.ts';
import { slice } from './slice.ts';

async function cut(x: HostTensor, axis: number, start: number, end: number): Promise<HostTensor> {
  await using device = openCpu();
  const [y] = await evaluate(device, (value) => [slice(value, { axis, start, end })], x);
  return y;
}

const counted = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

describe('slice', () => {
  test('takes part of any axis', async () => {
    const x = tensor([2, 3, 4], counted(24));
    const expected = (keep: (a: number, b: number, c: number) => boolean): number[] =>
      counted(24).filter((i) => keep(Math.floor(i / 12), Math.floor(i / 4) % 3, i % 4));
    expect(await cut(x, 0, 1, 2)).toEqual(
      tensor(
        [1, 3, 4],
        expected((a) => a === 1),
      ),
    );
    expect(await cut(x, 1, 0, 2)).toEqual(
      tensor(
        [2, 2, 4],
        expected((_, b) => b < 2),
      ),
    );
    expect(await cut(x, 2, 1, 4)).toEqual(
      tensor(
        [2, 3, 3],
        expected((_, __, c) => c >= 1),
      ),
    );
    expect(await cut(x, 1, 0, 3)).toEqual(x);
  });

  test.each(['f16', 'bf16', 'i32', 'u32'] as const)('moves %s as it is', async (dtype) => {
    expect(await cut(tensor([2, 2], [1, 2, 3, 4], dtype), 1, 1, 2)).toEqual(
      tensor([2, 1], [2, 4], dtype),
    );
  });

  test('keeps 16-bit NaN bits', async () => {
    const x = tensor([2], Uint16Array.of(0x7c01, 0xfe00), 'f16');
    expect((await cut(x, 0, 0, 1)).data).toEqual(Uint16Array.of(0x7c01));
  });

  test('other axes may have no elements', async () => {
    expect(await cut(tensor([0, 3], []), 1, 0, 2)).toEqual(tensor([0, 2], []));
    expect(await cut(tensor([3, 0], []), 0, 0, 2)).toEqual(tensor([2, 0], []));
  });

  test.each([
    [2, 0, 1],
    [-1, 0, 1],
    [0.5, 0, 1],
    [0, -1, 1],
    [0, 1, 1],
    [0, 2, 1],
    [0, 0, 3],
    [0, 0.5, 1.5],
    [0, NaN, 1],
  ])('refuses axis %d from %d to %d of [2, 3]', async (axis, start, end) => {
    const mistake = cut(tensor([2, 3], counted(6)), axis, start, end);
    await expect(mistake).rejects.toThrow(ShapeError);
    await expect(mistake).rejects.toThrow(/^slice\(x f32\[2, 3\]\): /);
  });
});
