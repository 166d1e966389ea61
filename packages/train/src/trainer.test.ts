import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCpu } from '@rwkv-js/core';
import { LanguageModel } from '@rwkv-js/language';
import {
  FormatError,
  UsageError,
  viewBytes,
  type Device,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { specificationWeights } from '@rwkv-js/testing';
import { encodeSafetensors, openWeights } from '@rwkv-js/weights';
import { describe, expect, onTestFinished, test } from 'vitest';
import { saveCheckpoint } from './checkpoint.ts';
import { officialOptimizer, tensorGroup } from './optimizer.ts';
import { Trainer } from './trainer.ts';

const sequences = [
  [1, 5, 2, 8, 3, 11],
  [4, 4, 9, 0, 7, 10],
].map((text) => ({ tokens: text.slice(0, -1), targets: text.slice(1) }));

const shape = { tokens: 10, slots: 2 };

function begin(device: Device, version: '4' | '7' = '7'): Promise<Trainer> {
  return Trainer.create(device, specificationWeights(version), { shape });
}

async function steps(trainer: Trainer, count: number): Promise<number> {
  let loss = 0;
  for (let i = 0; i < count; i++) ({ loss } = await trainer.trainStep([sequences], 0.01));
  return loss;
}

async function numbers(source: WeightSource): Promise<Map<string, number[]>> {
  const found = new Map<string, number[]>();
  for (const name of source.tensors.keys()) {
    found.set(name, [...viewBytes('f32', await source.read(name))]);
  }
  return found;
}

async function temporaryPath(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'train-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  return join(folder, 'checkpoint.safetensors');
}

describe('a trainer', () => {
  test.each(['4', '7'] as const)('makes an RWKV-%s learn sequences by heart', async (version) => {
    await using device = openCpu();
    await using trainer = await begin(device, version);
    expect(await steps(trainer, 1)).toBeGreaterThan(2);
    expect(await steps(trainer, 60)).toBeLessThan(0.1);
    expect(trainer.step).toBe(61);
  });

  test('adds up the same from parts of a batch as from the whole', async () => {
    await using device = openCpu({ precision: 'f64' });
    await using whole = await begin(device);
    await using parts = await begin(device);
    const loss = await whole.accumulate(sequences);
    let sum = 0;
    for (const sequence of sequences) sum += (await parts.accumulate([sequence], 0.5)) / 2;
    expect(sum).toBeCloseTo(loss, 12);
    expect(await parts.apply(0.01)).toBeCloseTo(await whole.apply(0.01), 10);
    const expected = await numbers(whole.weights({ withMoments: true }));
    for (const [name, found] of await numbers(parts.weights({ withMoments: true }))) {
      if (!name.startsWith('first.')) continue;
      found.forEach((x, i) => expect(x, name).toBeCloseTo(expected.get(name)![i]!, 8));
    }
  });

  test('takes a step over micro-batches as accumulating and applying them does', async () => {
    await using device = openCpu();
    await using whole = await begin(device);
    await using parts = await begin(device);
    const step = await whole.trainStep(
      sequences.map((one) => [one]),
      0.01,
    );
    let loss = 0;
    for (const one of sequences) loss += await parts.accumulate([one], 0.5);
    expect(step).toEqual({ loss: loss / 2, norm: await parts.apply(0.01) });
    expect(await numbers(whole.weights({ withMoments: true }))).toEqual(
      await numbers(parts.weights({ withMoments: true })),
    );
    expect(whole.step).toBe(1);
  });

  test('refuses a step of no batch, or of one that does not fit, and is as it was', async () => {
    await using device = openCpu();
    await using trainer = await begin(device);
    const before = await numbers(trainer.weights({ withMoments: true }));
    await expect(trainer.trainStep([], 0.01)).rejects.toThrow('was given no batch');
    const tooMany = [...sequences, ...sequences];
    await expect(trainer.trainStep([sequences, tooMany], 0.01)).rejects.toThrow(UsageError);
    expect(trainer.step).toBe(0);
    expect(await numbers(trainer.weights({ withMoments: true }))).toEqual(before);
    expect(await trainer.apply(0)).toBe(0);
  });

  test('clips and steps as AdamW is written, and forgets the gradients it took', async () => {
    await using device = openCpu({ precision: 'f64' });
    await using trainer = await begin(device);
    const old = await numbers(trainer.weights());
    await trainer.accumulate(sequences);
    const norm = await trainer.apply(0.01);
    expect(norm).toBeGreaterThan(1);
    const next = await numbers(trainer.weights({ withMoments: true }));
    const { epsilon, weightDecay } = officialOptimizer('7');
    let squares = 0;
    for (const [name, weights] of old) {
      const { rateFactor, decays } = tensorGroup(name, trainer.weights().tensors.get(name)!.shape);
      const rate = 0.01 * rateFactor;
      weights.forEach((weight, i) => {
        const gradient = next.get(`first.${name}`)![i]! / 0.1;
        squares += gradient ** 2;
        expect(next.get(`second.${name}`)![i]!, name).toBeCloseTo(0.01 * gradient ** 2, 8);
        // At the first step, the corrected moments are the gradient and its square.
        const change = gradient / (Math.abs(gradient) + epsilon);
        const expected = weight * (1 - (decays ? rate * weightDecay : 0)) - rate * change;
        if (Math.abs(gradient) > 1e-9) expect(next.get(name)![i]!, name).toBeCloseTo(expected, 6);
      });
    }
    // Clipped to a norm of 1.
    expect(Math.sqrt(squares)).toBeCloseTo(1, 5);
    expect(await trainer.apply(0.01)).toBe(0);
  });

  test('evaluates sequences of any length without learning from them', async () => {
    await using device = openCpu();
    await using trainer = await begin(device);
    const before = await numbers(trainer.weights({ withMoments: true }));
    const { loss, logits } = await trainer.evaluate(sequences);
    expect(logits).toHaveLength(10 * 12);
    expect(await trainer.accumulate(sequences)).toBe(loss);
    const one = {
      tokens: [...sequences[0]!.tokens, 3, 1, 2],
      targets: [5, 2, 8, 3, 11, -1, -1, -1],
    };
    const longer = await trainer.evaluate([one]);
    expect(longer.logits.slice(0, 5 * 12)).toEqual(logits.slice(0, 5 * 12));
    await trainer.apply(0);
    const after = await numbers(trainer.weights());
    for (const [name, values] of after) expect(values, name).toEqual(before.get(name));
  });

  test('gives weights that are a model', async () => {
    await using device = openCpu();
    await using trainer = await begin(device);
    await steps(trainer, 60);
    await using model = await LanguageModel.load(trainer.weights(), { device });
    await using session = model.session();
    await session.feed([1, 5, 2]);
    const logits = [...(await session.logits())];
    expect(logits.indexOf(Math.max(...logits))).toBe(8);
  });

  test('refuses batches that do not fit, and is as it was', async () => {
    await using device = openCpu();
    await using trainer = await begin(device);
    await expect(trainer.accumulate([...sequences, ...sequences])).rejects.toThrow(UsageError);
    expect(await trainer.apply(0.01)).toBe(0);
  });

  test('refuses weights that are not f32', async () => {
    await using device = openCpu();
    const source = specificationWeights('7');
    const half: WeightEntry = { dtype: 'f16', shape: [12, 16] };
    const tensors = new Map(source.tensors).set('head.weight', half);
    const wrong = { ...source, label: 'model.pth', tensors };
    await expect(Trainer.create(device, wrong, { shape })).rejects.toThrow(
      "tensor 'head.weight' of model.pth is f16[12, 16], and training needs f32; convert the file first",
    );
  });
});

test('weights that are not whole are refused before anything is trained', async () => {
  await using device = openCpu();
  const source = specificationWeights('7');
  const change = (edit: (tensors: Map<string, WeightEntry>) => void): Promise<Trainer> => {
    const tensors = new Map(source.tensors);
    edit(tensors);
    return Trainer.create(device, { ...source, label: 'model.pth', tensors }, { shape });
  };
  const name = 'blocks.1.att.w0';
  const lost = change((tensors) => tensors.delete(name));
  await expect(lost).rejects.toThrow(FormatError);
  await expect(lost).rejects.toThrow(
    `model.pth has no tensor '${name}', and RWKV-7 has one of shape [16]; give a whole model`,
  );
  const short = change((tensors) => tensors.set(name, { dtype: 'f32', shape: [1, 1, 8] }));
  await expect(short).rejects.toThrow(
    `tensor '${name}' of model.pth has the shape [1, 1, 8], and RWKV-7 has one of shape [16]`,
  );
});

describe('a checkpoint', () => {
  test.each(['4', '7'] as const)(
    'of an RWKV-%s goes on with the same bits, as if nothing had been',
    async (version) => {
      const path = await temporaryPath();
      await using device = openCpu();
      await using straight = await begin(device, version);
      await steps(straight, 5);
      await using first = await begin(device, version);
      await steps(first, 2);
      await saveCheckpoint(path, first, new Map([['seed', '7']]));
      const source = await openWeights(path);
      expect(source.metadata.get('seed')).toBe('7');
      await using second = await Trainer.create(device, source, { shape });
      await source.close();
      expect(second.step).toBe(2);
      await steps(second, 3);
      const found = await numbers(second.weights({ withMoments: true }));
      expect(found).toEqual(await numbers(straight.weights({ withMoments: true })));
    },
  );

  test('is a model file', async () => {
    const path = await temporaryPath();
    await using device = openCpu();
    await using trainer = await begin(device);
    await saveCheckpoint(path, trainer);
    const source = await openWeights(path);
    await using model = await LanguageModel.load(source, { device });
    await source.close();
    expect(model.config).toMatchObject({ version: '7', layers: 2, width: 16 });
  });

  test('is refused between accumulate and apply, which would lose gradients', async () => {
    const path = await temporaryPath();
    await using device = openCpu();
    await using trainer = await begin(device);
    await trainer.accumulate(sequences);
    await expect(saveCheckpoint(path, trainer)).rejects.toThrow(UsageError);
    await trainer.apply(0.01);
    await saveCheckpoint(path, trainer);
  });

  test('that is damaged is refused', async () => {
    await using device = openCpu();
    await using trainer = await begin(device);
    await steps(trainer, 1);
    const source = trainer.weights({ withMoments: true });
    const open = async (
      change: (tensors: Map<string, WeightEntry>, metadata: Map<string, string>) => void,
    ): Promise<Trainer> => {
      const [tensors, metadata] = [new Map(source.tensors), new Map(source.metadata)];
      change(tensors, metadata);
      const files = [...tensors].map(async ([name, entry]) => ({
        name,
        ...entry,
        data: await source.read(name),
      }));
      const bytes = encodeSafetensors(await Promise.all(files), metadata);
      return Trainer.create(device, await openWeights(bytes), { shape });
    };
    const lost = open((tensors) => tensors.delete('second.head.weight'));
    await expect(lost).rejects.toThrow(FormatError);
    await expect(lost).rejects.toThrow("is a checkpoint without a tensor 'second.head.weight'");
    const odd = open((_, metadata) => metadata.set('rwkv-js.step', '-1'));
    await expect(odd).rejects.toThrow("says that '-1' steps were taken");
    await using whole = await open(() => undefined);
    expect(whole.step).toBe(1);
  });
});
