import { evaluate, tensor, type HostTensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { describeTimeOp } from '../../test/time-op.ts';
import { openCpu } from '../cpu/device.ts';
import { tokenShift } from './token-shift.ts';

describeTimeOp({
  name: 'tokenShift',
  record: ([x, state, offsets]) => tokenShift(x, state, offsets),
  width: 5,
  rows: 1,
  constants: [],
  states: [[5]],
});

async function shift(...of: readonly HostTensor[]): Promise<HostTensor[]> {
  await using device = openCpu();
  return await evaluate(device, (x, state, offsets) => tokenShift(x, state, offsets), ...of);
}

describe('tokenShift', () => {
  test('gives each token the row before it, the first one the state', async () => {
    const [shifted, state] = await shift(
      tensor([5, 2], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]),
      tensor([3, 2], [-1, -2, -3, -4, -5, -6]),
      tensor([4], [0, 3, 3, 4], 'i32'),
    );
    expect(shifted).toEqual(tensor([5, 2], [-1, -2, 1, 2, 3, 4, -5, -6, 0, 0]));
    expect(state).toEqual(tensor([3, 2], [5, 6, -3, -4, 7, 8]));
  });

  test('refuses what does not fit', async () => {
    const [x, state] = [tensor([1, 2], [1, 2]), tensor([1, 2], [1, 2])];
    const offsets = tensor([2], [0, 1], 'i32');
    await expect(shift(x, tensor([1, 3], [1, 2, 3]), offsets)).rejects.toThrow(
      'tokenShift(x f32[1, 2], state f32[1, 3], offsets i32[2]): ' +
        'state must be floating [slots, width] = [1, 2]',
    );
    await expect(shift(tensor([2], [1, 2]), state, offsets)).rejects.toThrow('x must have 2 axes');
    await expect(shift(tensor([1, 2], [1, 2], 'i32'), state, offsets)).rejects.toThrow(
      'x must be of a floating dtype',
    );
    await expect(shift(x, state, tensor([2], [0, 1]))).rejects.toThrow('offsets must be i32[2]');
  });
});
