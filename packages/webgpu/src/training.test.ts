import { openCpu } from '@rwkv-js/core';
import { viewBytes, type Device, type HostArray, type WeightSource } from '@rwkv-js/tensor';
import {
  deviceWith,
  specificationModels,
  specificationWeights,
  tolerances,
  type SpecificationModel,
} from '@rwkv-js/testing';
import { Trainer } from '@rwkv-js/train';
import { expect, test } from 'vitest';
import { describeOn, openForTests } from '../test/adapter.ts';

type Version = SpecificationModel['version'];

const opened = await openForTests();
const versions = specificationModels.map(({ version }) => version);

/** Two sequences of unlike length, one slot without any, and rows of padding after them. */
const sequences = [
  [1, 5, 2, 8, 3, 11, 6],
  [4, 4, 9, 0, 7],
].map((text) => ({ tokens: text.slice(0, -1), targets: text.slice(1) }));
const shape = { tokens: 12, slots: 3 };
const rate = 0.01;

/** How far gradients may be from those in doubles, as a share of the largest in their tensor. */
const tolerance = tolerances.recurrence;
/** What that grows to in a loss, as a share of it, while weights that learned apart go their ways. */
const toleranceOfLoss = 50 * tolerance;

function begin(device: Device, version: Version): Promise<Trainer> {
  return Trainer.create(device, specificationWeights(version), { shape });
}

/** Every tensor by its name. */
async function numbers(source: WeightSource): Promise<ReadonlyMap<string, HostArray>> {
  const found = new Map<string, HostArray>();
  for (const name of source.tensors.keys()) {
    found.set(name, viewBytes('f32', await source.read(name)));
  }
  return found;
}

function largest(values: HostArray): number {
  return Math.max(...Array.from(values, Math.abs));
}

/** Expects each element within a share of the tensor's largest. */
function expectNear(found: HostArray, expected: HostArray, name: string): void {
  const allowed = tolerance * largest(expected);
  expected.forEach((x: number, i: number) => {
    expect(Math.abs(found[i]! - x), `${name}[${i}]`).toBeLessThanOrEqual(allowed);
  });
}

describeOn(opened, 'training on the WebGPU device', (device) => {
  test.each(versions)(
    'a step of RWKV-%s has the loss, the gradients, the moments and the weights of the reference',
    async (version) => {
      await using reference = openCpu({ precision: 'f64' });
      await using oracle = await begin(reference, version);
      await using trainer = await begin(device, version);
      const [expected, found] = [
        await oracle.trainStep([sequences], rate),
        await trainer.trainStep([sequences], rate),
      ];
      expect(found.loss / expected.loss).toBeCloseTo(1, 4);
      expect(found.norm / expected.norm).toBeCloseTo(1, 4);
      const tensors = await numbers(oracle.weights({ withMoments: true }));
      const own = await numbers(trainer.weights({ withMoments: true }));
      let held = 0;
      let all = 0;
      for (const name of oracle.weights().tensors.keys()) {
        // After the first step the first moment is a tenth of the clipped gradient.
        const gradient = tensors.get(`first.${name}`)!;
        expect(largest(gradient), name).toBeGreaterThan(0);
        for (const moment of ['first.', 'second.']) {
          expectNear(own.get(moment + name)!, tensors.get(moment + name)!, moment + name);
        }
        // That step is little more than the gradient's sign, which rounding decides where it is near zero.
        const [weight, ownWeight] = [tensors.get(name)!, own.get(name)!];
        const smallest = 10 * tolerance * largest(gradient);
        weight.forEach((x: number, i: number) => {
          const isHeld = gradient[i] === 0 || Math.abs(gradient[i]!) > smallest;
          const allowed = isHeld ? tolerance * largest(weight) : 6 * rate;
          expect(Math.abs(ownWeight[i]! - x), `${name}[${i}]`).toBeLessThanOrEqual(allowed);
          held += Number(isHeld);
          all += 1;
        });
      }
      expect(held / all).toBeGreaterThan(0.95);
    },
    120_000,
  );

  test.each(versions)(
    'RWKV-%s learns sequences by heart as fast as on the reference',
    async (version) => {
      await using reference = openCpu();
      await using oracle = await begin(reference, version);
      await using trainer = await begin(device, version);
      for (let step = 1; step <= 30; step++) {
        const expected = await oracle.trainStep([sequences], rate);
        const found = await trainer.trainStep([sequences], rate);
        const apart = Math.abs(found.loss / expected.loss - 1);
        expect(apart, `loss at step ${step}`).toBeLessThan(toleranceOfLoss);
        if (step === 1) expect(found.loss).toBeGreaterThan(2);
        if (step === 30) expect(found.loss).toBeLessThan(0.05);
      }
    },
    120_000,
  );

  test('micro-batches of a step add up to the whole', async () => {
    await using whole = await begin(device, '7');
    await using parts = await begin(device, '7');
    const equal = sequences.map(({ tokens, targets }) => ({
      tokens: tokens.slice(0, 4),
      targets: targets.slice(0, 4),
    }));
    const expected = await whole.trainStep([equal], rate);
    const found = await parts.trainStep(
      equal.map((one) => [one]),
      rate,
    );
    expect(found.loss).toBeCloseTo(expected.loss, 5);
    expect(found.norm / expected.norm).toBeCloseTo(1, 4);
  }, 120_000);

  test('all of a step is queued before anything is waited for', async () => {
    const events: string[] = [];
    const watched = deviceWith(device, {
      executable: (own) => ({
        run(inputs) {
          events.push('run');
          own.run(inputs);
        },
        async read(...names) {
          const read = await own.read(...names);
          events.push(`got ${names.join()}`);
          return read;
        },
      }),
    });
    await using trainer = await begin(watched, '7');
    await trainer.trainStep([sequences, sequences], rate);
    expect(events.slice(0, 3)).toEqual(['run', 'run', 'run']);
    expect(events.slice(3).sort()).toEqual(['got loss', 'got loss', 'got norm']);
  }, 120_000);

  test('fifty steps take no more memory than one', async () => {
    const own = (await openForTests())!;
    const alive = new Map<GPUBuffer, number>();
    const { gpu } = own;
    const create = gpu.createBuffer.bind(gpu);
    gpu.createBuffer = (descriptor) => {
      const buffer = create(descriptor);
      alive.set(buffer, descriptor.size);
      const destroy = buffer.destroy.bind(buffer);
      buffer.destroy = () => {
        alive.delete(buffer);
        return destroy();
      };
      return buffer;
    };
    const bytes = (): number => [...alive.values()].reduce((sum, size) => sum + size, 0);
    const trainer = await begin(own, '7');
    await trainer.trainStep([sequences], rate);
    const [before, tensors] = [bytes(), own.tensors.size];
    expect(before).toBeGreaterThan(100_000);
    for (let step = 2; step <= 50; step++) {
      await trainer.trainStep([sequences], rate);
      expect(bytes(), `bytes after step ${step}`).toBe(before);
    }
    expect(own.tensors.size).toBe(tensors);
    await trainer.dispose();
    await own.dispose();
    expect(bytes()).toBe(0);
  }, 120_000);
});
