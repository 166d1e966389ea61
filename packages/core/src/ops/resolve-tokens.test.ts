import { evaluate, ShapeError, tensor, type HostTensor } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { openCpu } from '../cpu/device.ts';
import { resolveTokens } from './resolve-tokens.ts';

async function resolve(...of: readonly HostTensor[]): Promise<HostTensor> {
  await using device = openCpu();
  const [resolved] = await evaluate(
    device,
    (tokens, drawn, offsets) => [resolveTokens(tokens, drawn, offsets)],
    ...of,
  );
  return resolved;
}

test('each −1 is the last drawn token of its sequence, and padding is token 0', async () => {
  const tokens = tensor([6], [-1, 5, 6, -1, -1, 9], 'i32');
  const drawn = tensor([4, 2], [1, 2, 3, 4, 7, 8, 10, 11], 'i32');
  const offsets = tensor([5], [0, 1, 1, 3, 4], 'i32');
  expect(await resolve(tokens, drawn, offsets)).toEqual(tensor([6], [2, 5, 6, 11, 0, 0], 'i32'));
});

test.each([
  [0, tensor([1, 2], [1, 2], 'i32'), 'tokens must be i32[2]'],
  [0, tensor([2], [1, 2]), 'tokens must be i32[2]'],
  [1, tensor([2], [1, 2], 'i32'), 'drawn must have 2 axes'],
  [1, tensor([1, 2], [1, 2]), 'drawn must be i32 [slots, steps] = [1, 2]'],
  [1, tensor([1, 0], [], 'i32'), 'drawn must be i32 [slots, steps] = [1, 1]'],
  [2, tensor([3], [0, 1, 2], 'i32'), 'offsets must be i32[2]'],
])('an argument %d that does not fit is refused', async (at, wrong, message) => {
  const good = [
    tensor([2], [1, 2], 'i32'),
    tensor([1, 2], [1, 2], 'i32'),
    tensor([2], [0, 2], 'i32'),
  ];
  const mistake = resolve(...good.with(at, wrong));
  await expect(mistake).rejects.toThrow(ShapeError);
  await expect(mistake).rejects.toThrow(message);
});
