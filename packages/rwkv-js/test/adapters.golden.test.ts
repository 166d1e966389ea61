import { describeShared, sharedPath } from '@rwkv-js/testing';
import { viewBytes, type HostArray } from '@rwkv-js/tensor';
import { openWeights } from '@rwkv-js/weights';
import { expect, test } from 'vitest';
import {
  loadModel,
  openAdapter,
  openCpu,
  type AdapterFile,
  type LanguageModel,
} from '../src/index.ts';

const cases: readonly (readonly [string, string, string, Omit<AdapterFile, 'file'>])[] = [
  ['v4', 'lora-v4', 'lora.pth', { alpha: 12 }],
  ['v6', 'lora-v6', 'lora.pth', { alpha: 6 }],
  ['v6', 'lora-v6', 'lora.safetensors', { alpha: 6 }],
  ['v7', 'lora-v7', 'lora.pth', { alpha: 8 }],
  ['v7', 'lora-v7', 'lora.safetensors', { alpha: 8 }],
  ['v7', 'lora-v7', 'lora.st', { alpha: 8 }],
  ['v7', 'pissa-v7', 'pissa.pth', { init: adapterPath('pissa-v7', 'init_lora.pth') }],
  ['v7', 'pissa-v7', 'pissa.pth', { init: adapterPath('pissa-v7', 'init_lora.newer.pth') }],
  ['v6', 'state-v6', 'state.pth', {}],
  ['v6', 'state-v6', 'state.safetensors', {}],
  ['v7', 'state-v7', 'state.pth', {}],
  ['v7', 'state-v7', 'state.safetensors', {}],
  ['v7', 'state-v7', 'state.st', {}],
];

function adapterPath(folder: string, file: string): string {
  return sharedPath(`golden/adapters/${folder}/${file}`);
}

describeShared('the golden adapters', () => {
  const seconds = 60_000;
  test.each(cases)(
    'merged into %s, %s/%s gives the logits, states and greedy tokens',
    async (base, folder, file, how) => {
      await using device = openCpu();
      await using model = await loadModel(sharedPath(`golden/${base}/model.safetensors`), {
        device,
        adapters: [{ file: adapterPath(folder, file), ...how }],
      });
      await expectGolden(model, adapterPath(folder, 'expected.safetensors'));
    },
    seconds,
  );

  test.each(cases)(
    'beside %s, %s/%s gives the same, and the base what it gave',
    async (base, folder, file, how) => {
      await using device = openCpu();
      const model = await loadModel(sharedPath(`golden/${base}/model.safetensors`), { device });
      const adapter = await openAdapter(adapterPath(folder, file), how);
      await using variant = await model.withAdapter(adapter);
      await adapter.close();
      await Promise.all([
        expectGolden(variant, adapterPath(folder, 'expected.safetensors')),
        expectGolden(model, sharedPath(`golden/${base}/expected.safetensors`)),
      ]);
      await model.dispose();
    },
    seconds,
  );
});

describeShared('an adapter beside packed weights', () => {
  test('adds to them in f32 and leaves them packed', async () => {
    await using device = openCpu();
    const path = sharedPath('golden/v7/model.safetensors');
    await using model = await loadModel(path, { device, format: 'q8' });
    const adapter = await openAdapter(adapterPath('lora-v7', 'lora.safetensors'), { alpha: 8 });
    await using variant = await model.withAdapter(adapter);
    await using exact = await loadModel(path, {
      device,
      adapters: [{ file: adapterPath('lora-v7', 'lora.safetensors'), alpha: 8 }],
    });
    const [packed, adapted, wanted] = await Promise.all(
      [model, variant, exact].map(async (one) => {
        const session = one.session();
        await session.feed([1, 2, 3, 4]);
        return session.logits();
      }),
    );
    const distance = (a: Float32Array, b: Float32Array): number =>
      Math.hypot(...a.map((x, i) => x - b[i]!)) / Math.sqrt(a.length);
    // What packing loses is far less than what the adapter changes.
    expect(distance(adapted!, wanted!)).toBeLessThan(distance(packed!, wanted!) / 3);
    expect(variant.bytes.parameters).toBeLessThan(model.bytes.parameters);
    await adapter.close();
  });
});

async function expectGolden(model: LanguageModel, path: string): Promise<void> {
  const expected = await openWeights(path);
  const logits = await elements('logits');
  const { vocabularySize } = model.config;
  const session = model.session();
  let worst = 0;
  await session.feedWithLogits(await elements('tokens'), (row, index) => {
    row.forEach((logit, i) => {
      worst = Math.max(worst, Math.abs(logit - logits[index * vocabularySize + i]!));
    });
  });
  expect(worst).toBeLessThanOrEqual(2e-4);
  for (const [name, data] of (await session.save()).tensors) {
    const want = await elements(name);
    data.forEach((value, i) => {
      const relative = Math.abs(value - want[i]!) / Math.max(1, Math.abs(want[i]!));
      expect(relative, `${name}[${i}]`).toBeLessThanOrEqual(2e-4);
    });
  }
  const generation = session.generate({
    temperature: 0,
    presencePenalty: 0,
    frequencyPenalty: 0,
    stopTokens: [],
    maxTokens: 48,
  });
  await generation.text();
  expect(generation.tokens).toEqual([...(await elements('greedy'))]);
  await expected.close();

  async function elements(name: string): Promise<HostArray> {
    return viewBytes(expected.tensors.get(name)!.dtype, await expected.read(name));
  }
}
