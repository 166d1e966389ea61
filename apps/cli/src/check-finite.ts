import { DeviceError } from 'rwkv-js';

/**
 * What a model computes is finite, or its weights are damaged.
 *
 * @param what names the numbers, such as `the logits after token 3`
 * @throws DeviceError when one of them is infinite or no number
 */
export function checkFinite(numbers: Iterable<number>, what: string): void {
  for (const number of numbers) {
    if (Number.isFinite(number)) continue;
    throw new DeviceError(
      `computing ${what}: ${number} was found where a finite number was expected; ` +
        'the weights of the model are damaged',
    );
  }
}
