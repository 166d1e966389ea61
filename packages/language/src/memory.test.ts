import { openCpu } from '@rwkv-js/core';
import { deviceWith, specificationModels, specificationWeights } from '@rwkv-js/testing';
import { expect, test } from 'vitest';
import { modelMemory } from './memory.ts';
import { LanguageModel } from './model.ts';

test.each(
  specificationModels.flatMap(({ version }) => [
    { version, precision: 'f32' as const },
    { version, precision: 'f64' as const },
  ]),
)(
  'the memory of an RWKV-$version in $precision is what loading it takes',
  async ({ version, precision }) => {
    const source = specificationWeights(version);
    await using device = openCpu({ precision });
    await using model = await LanguageModel.load(source, { device, slots: 3 });
    const { parameters, statesPerSlot, savedState } = modelMemory(source, device);
    expect({ parameters, states: 3 * statesPerSlot }).toEqual(model.bytes);
    const saved = (await model.session().save()).tensors.values();
    expect(savedState).toBe([...saved].reduce((sum, { byteLength }) => sum + byteLength, 0));
  },
);

test('a device that reads back once for several steps has a second copy of the state', async () => {
  const source = specificationWeights('7');
  await using inner = openCpu();
  const device = deviceWith(inner, { kernels: { stepsPerReadback: 4 } });
  await using model = await LanguageModel.load(source, { device, slots: 3 });
  const [one, four] = [modelMemory(source, inner), modelMemory(source, device)];
  // And three more tokens that were drawn.
  expect(four).toEqual({ ...one, statesPerSlot: one.statesPerSlot + one.savedState + 3 * 4 });
  expect(model.bytes).toEqual({ parameters: four.parameters, states: 3 * four.statesPerSlot });
});
