import { openCpu } from '@rwkv-js/core';
import { LanguageModel } from '@rwkv-js/language';
import { stories } from '@rwkv-js/stories';
import type { Device } from '@rwkv-js/tensor';
import { openWeights } from '@rwkv-js/weights';
import { expect, test } from 'vitest';
import { describeOn, openForTests } from '../test/adapter.ts';

const opened = await openForTests();

/** Tokens that the storyteller writes when it always takes the likeliest. */
async function written(device: Device, maxTokens: number): Promise<readonly number[]> {
  const source = await openWeights(stories.weights);
  const model = await LanguageModel.load(source, { device });
  await source.close();
  const generation = model.generate({ maxTokens, temperature: 0 });
  await generation.text();
  await model.dispose();
  return generation.tokens;
}

describeOn(opened, 'the storyteller', (device) => {
  test('writes the same 40 tokens as on the reference device', async () => {
    await using reference = openCpu();
    const expected = await written(reference, 40);
    expect(expected.length).toBe(40);
    expect(await written(device, 40)).toEqual(expected);
  }, 300_000);
});
