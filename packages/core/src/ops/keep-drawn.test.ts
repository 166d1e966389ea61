import {
  allocateStates,
  evaluate,
  i32,
  record,
  ShapeError,
  tensor,
  type HostTensor,
} from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { openCpu } from '../cpu/device.ts';
import { keepDrawn } from './keep-drawn.ts';

async function keep(...of: readonly HostTensor[]): Promise<HostTensor> {
  await using device = openCpu();
  const [next] = await evaluate(
    device,
    (drawn, tokens, slots) => [keepDrawn(drawn, tokens, slots)],
    ...of,
  );
  return next;
}

test('the last tokens of each slot are kept where they lie, the newest at the end', async () => {
  await using device = openCpu();
  const program = record('keep', (recorder) => {
    const drawn = recorder.state('drawn', i32(3, 2), -1);
    const tokens = recorder.input('tokens', i32(2));
    recorder.update(drawn, keepDrawn(drawn, tokens, recorder.input('slots', i32(2))));
    return {};
  });
  const { tensors } = allocateStates(device, [program]);
  const executable = await device.compile(program, { states: tensors });
  executable.run({ tokens: [4, 5], slots: [2, 0] });
  executable.run({ tokens: [6, -1], slots: [2, -1] });
  executable.run({ tokens: [-1, 7], slots: [0, 2] });
  expect([...(await device.read(tensors.get('drawn')!))]).toEqual([5, -1, -1, -1, 6, 7]);
});

test('one token a slot is kept where one step is read back at a time', async () => {
  const drawn = tensor([2, 1], [3, 4], 'i32');
  const next = await keep(drawn, tensor([1], [9], 'i32'), tensor([1], [1], 'i32'));
  expect(next).toEqual(tensor([2, 1], [3, 9], 'i32'));
});

test.each([
  [0, tensor([2], [1, 2], 'i32'), 'drawn must have 2 axes'],
  [0, tensor([1, 2], [1, 2]), 'drawn must be i32 [slots, steps] = [1, 2]'],
  [0, tensor([1, 0], [], 'i32'), 'drawn must be i32 [slots, steps] = [1, 1]'],
  [1, tensor([1], [1]), 'tokens must be i32[1]'],
  [2, tensor([2], [0, -1], 'i32'), 'slots must be i32[1]'],
])('an argument %d that does not fit is refused', async (at, wrong, message) => {
  const good = [tensor([1, 2], [1, 2], 'i32'), tensor([1], [7], 'i32'), tensor([1], [0], 'i32')];
  const mistake = keep(...good.with(at, wrong));
  await expect(mistake).rejects.toThrow(ShapeError);
  await expect(mistake).rejects.toThrow(message);
});
