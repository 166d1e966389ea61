import { specificationNumber, specificationWeights } from '@rwkv-js/testing';
import { UsageError, type Device } from '@rwkv-js/tensor';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  encodeSafetensors,
  LanguageModel,
  loadModel,
  mergeAdapter,
  openAdapter,
  openDevice,
  type Adapter,
} from './index.ts';

type Version = Parameters<typeof specificationWeights>[0];
type Shapes = Readonly<Record<string, readonly number[]>>;

let device: Device;
beforeAll(async () => {
  device = await openDevice();
});
afterAll(() => device.dispose());

const file = (shapes: Shapes): Uint8Array =>
  encodeSafetensors(
    Object.entries(shapes).map(([name, shape], k) => ({
      name,
      dtype: 'f32',
      shape,
      data: Float32Array.from(
        { length: shape.reduce((a, b) => a * b, 1) },
        (_, i) => specificationNumber(1000 * (k + 3) + i) / 2,
      ),
    })),
  );

const lora = (matrix: string, out: number, width: number): Shapes => ({
  [`${matrix}.lora_A`]: [3, width],
  [`${matrix}.lora_B`]: [out, 3],
});

async function logitsOf(model: LanguageModel): Promise<Float32Array> {
  const session = model.session();
  await session.feed([1, 7, 3, 2]);
  return session.logits();
}

const load = (version: Version): Promise<LanguageModel> =>
  LanguageModel.load(specificationWeights(version), { device, slots: 2 });

async function merged(version: Version, adapter: Adapter): Promise<Float32Array> {
  const source = mergeAdapter(specificationWeights(version), adapter);
  await using model = await LanguageModel.load(source, { device, slots: 1 });
  return await logitsOf(model);
}

function expectClose(found: Float32Array, want: Float32Array): void {
  found.forEach((x, i) => expect(Math.abs(x - want[i]!)).toBeLessThan(1e-4));
}

describe('an adapter beside a model', () => {
  const hidden = (version: Version): number => (version === '4' || version === '7' ? 64 : 32);

  test.each(['4', '5.0', '5.1', '5.2', '6', '7'] as const)(
    'gives what it gives merged, on every matrix of RWKV-%s',
    async (version) => {
      const gate = version[0] === '6' || version === '5.1' || version === '5.2';
      const shapes = [0, 1].flatMap((i) => [
        ...['receptance', 'key', 'value', 'output', ...(gate ? ['gate'] : [])].map((name) =>
          lora(`blocks.${i}.att.${name}`, 16, 16),
        ),
        lora(`blocks.${i}.ffn.key`, hidden(version), 16),
        lora(`blocks.${i}.ffn.value`, 16, hidden(version)),
        ...(version === '7' ? [] : [lora(`blocks.${i}.ffn.receptance`, 16, 16)]),
      ]);
      const adapter = await openAdapter(file(Object.assign({}, ...shapes)), { alpha: 2 });
      await using model = await load(version);
      const before = await logitsOf(model);
      await using variant = await model.withAdapter(adapter);
      const [found, base] = await Promise.all([logitsOf(variant), logitsOf(model)]);
      expectClose(found, await merged(version, adapter));
      expect(found).not.toEqual(before);
      expect(base).toEqual(before);
      // The weights lie on the device once: the variant has its factors and states alone.
      const factors = [...adapter.matrices].reduce(
        (sum, [, { lowRank }]) => sum + lowRank!.rank,
        0,
      );
      expect(variant.bytes.parameters).toBeLessThan(factors * (16 + 64) * 4 + 1);
    },
  );

  test('may be a Bone, may lie upon another, and survives the model it was made from', async () => {
    const bone = await openAdapter(file({ 'blocks.1.att.output.disha': [4, 16] }));
    const other = await openAdapter(file(lora('blocks.1.att.output', 16, 16)), { alpha: 4 });
    const model = await load('7');
    const one = await model.withAdapter(bone);
    await model.dispose();
    expectClose(await logitsOf(one), await merged('7', bone));
    const both = await one.withAdapter(other);
    await one.dispose();
    const source = mergeAdapter(mergeAdapter(specificationWeights('7'), bone), other);
    await using together = await LanguageModel.load(source, { device, slots: 1 });
    expectClose(await logitsOf(both), await logitsOf(together));
    await both.dispose();
    await expect(model.withAdapter(bone)).rejects.toThrow('the model was disposed');
  });

  test('exchanges states with its model', async () => {
    const adapter = await openAdapter(file(lora('blocks.0.att.key', 16, 16)), { alpha: 4 });
    await using model = await load('7');
    await using variant = await model.withAdapter(adapter);
    const session = model.session();
    await session.feed([1, 2]);
    const state = await session.save();
    expect(variant.fingerprint).toBe(model.fingerprint);
    const other = variant.session({ state });
    await other.feed([3]);
    expect((await other.logits()).every(Number.isFinite)).toBe(true);
  });

  test.each([
    [
      'changes depend on the weights',
      { 'blocks.0.att.key.disha': [8, 2, 2] },
      'merge it when the model',
    ],
    ['block is missing', { 'blocks.9.att.key.disha': [4, 16] }, "'blocks.9.att.key.weight', which"],
    ['sizes are others', { 'blocks.0.att.key.disha': [4, 24] }, 'for 24 rows; it was trained'],
    [
      'tensors are joined with others',
      { 'blocks.0.att.x_r': [16] },
      'has joined with other tensors',
    ],
    ['table is read by rows', { 'emb.disha': [4, 12] }, 'only products of matrices'],
    ['tensor is missing', { 'blocks.0.att.nothing': [16] }, "'blocks.0.att.nothing', which"],
  ] as const)('is refused where its %s, and the model goes on', async (_, shapes, says) => {
    const adapter = await openAdapter(file(shapes));
    await using model = await load('7');
    const before = await logitsOf(model);
    const making = model.withAdapter(adapter);
    await expect(making).rejects.toThrow(says);
    await expect(making).rejects.toBeInstanceOf(UsageError);
    expect(await logitsOf(model)).toEqual(before);
  });

  test('is not made when it is aborted', async () => {
    const adapter = await openAdapter(file({ 'blocks.0.att.key.disha': [4, 16] }));
    await using model = await load('7');
    const signal = AbortSignal.abort();
    await expect(model.withAdapter(adapter, { signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect((await logitsOf(model)).length).toBe(12);
  });
});

test('loadModel closes what it opened when an adapter does not fit', async () => {
  const source = specificationWeights('7');
  const tensors = await Promise.all(
    [...source.tensors].map(async ([name, entry]) => ({
      name,
      ...entry,
      data: await source.read(name),
    })),
  );
  const model = encodeSafetensors(tensors);
  const adapters = [
    { file: file({ 'blocks.0.att.key.disha': [4, 16] }) },
    { file: file({ 'blocks.9.att.key.disha': [4, 16] }) },
  ];
  await expect(loadModel(model, { device, adapters })).rejects.toThrow('for another model');
  await using fits = await loadModel(model, { device, adapters: adapters.slice(0, 1) });
  const bone = await openAdapter(adapters[0]!.file);
  expectClose(await logitsOf(fits), await merged('7', bone));
});
