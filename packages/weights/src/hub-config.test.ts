import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { specificationWeights } from '@rwkv-js/testing';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { asFla7, asHuggingFace, floatsOf, type Floats } from '../test/foreign-layouts.ts';
import { encodeSafetensors, openWeights } from './index.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-weights-'));
});
afterEach(() => rm(folder, { recursive: true }));

const encoded = (
  tensors: ReadonlyMap<string, Floats>,
  metadata?: Map<string, string>,
): Uint8Array =>
  encodeSafetensors(
    Array.from(tensors, ([name, tensor]) => ({ name, dtype: 'f32' as const, ...tensor })),
    metadata,
  );

const fla = async (metadata?: Map<string, string>): Promise<Uint8Array> =>
  encoded(asFla7(await floatsOf(specificationWeights('7')), false), metadata);

/** Opens the model with that config.json beside it, and closes it again. */
async function openBeside(config: unknown, model: Uint8Array) {
  await writeFile(join(folder, 'model.safetensors'), model);
  const text = typeof config === 'string' ? config : JSON.stringify(config);
  await writeFile(join(folder, 'config.json'), text);
  const weights = await openWeights(join(folder, 'model.safetensors'));
  await weights.close();
  return weights;
}

const epsilonIn = ({ metadata }: { metadata: ReadonlyMap<string, string> }): number =>
  Number(metadata.get('group_norm_epsilon'));

test('the epsilon of fla is that of the config for heads of the config', async () => {
  const config = { model_type: 'rwkv7', head_dim: 8, norm_eps: 1e-5 };
  const weights = await openBeside(config, await fla());
  expect(weights.layout).toBe('flash-linear-attention');
  expect(epsilonIn(weights)).toBeCloseTo(8e-5, 12);
});

test('the epsilon of Hugging Face RWKV-5 is for heads that are divided first', async () => {
  const model = encoded(asHuggingFace(await floatsOf(specificationWeights('5.2'))));
  const config = { model_type: 'rwkv5', head_size_divisor: 8, layer_norm_epsilon: 1e-5 };
  expect(epsilonIn(await openBeside(config, model))).toBeCloseTo(64e-5, 12);
});

test('an epsilon that the config says outright goes before others', async () => {
  const config = { model_type: 'rwkv7', group_norm_epsilon: 3e-4, head_dim: 8, norm_eps: 1e-5 };
  expect(epsilonIn(await openBeside(config, await fla()))).toBe(3e-4);
});

test('what the file itself says of the epsilon stays', async () => {
  const config = { model_type: 'rwkv7', group_norm_epsilon: 3e-4 };
  const model = await fla(new Map([['group_norm_epsilon', '0.5']]));
  expect(epsilonIn(await openBeside(config, model))).toBe(0.5);
});

test('a norm that is in the embedding already is taken away', async () => {
  const config = { model_type: 'rwkv7', embedding_layer_norm_fused: true };
  const weights = await openBeside(config, await fla());
  expect([...weights.tensors.keys()].filter((name) => name.includes('ln0'))).toEqual([]);
  const other = await openBeside({ ...config, embedding_layer_norm_fused: false }, await fla());
  expect([...other.tensors.keys()].filter((name) => name.includes('ln0'))).toHaveLength(2);
});

test.each([
  ['of another model', { model_type: 'llama', group_norm_epsilon: 0.1 }],
  ['with no number where one belongs', { model_type: 'rwkv7', group_norm_epsilon: 'small' }],
  ['with an epsilon that is none', { model_type: 'rwkv7', group_norm_epsilon: 7 }],
  ['that is a list', [1, 2]],
])('a config %s changes nothing', async (_, config) => {
  const weights = await openBeside(config, await fla());
  expect(weights.metadata.has('group_norm_epsilon')).toBe(false);
});

test('a config that is no JSON is told of', async () => {
  await expect(openBeside('{"a":', await fla())).rejects.toThrow(
    /config\.json, which lies beside the weights: it is no JSON/,
  );
});

test('files in official names and bytes in memory have no config', async () => {
  const official = encoded(await floatsOf(specificationWeights('7')));
  const config = { model_type: 'rwkv7', group_norm_epsilon: 0.1 };
  expect((await openBeside(config, official)).metadata.size).toBe(0);
  const weights = await openWeights(await fla());
  expect(weights.metadata.size).toBe(0);
  await weights.close();
});

test('a config is found beside a file address, and not missed where there is none', async () => {
  const config = { model_type: 'rwkv7', group_norm_epsilon: 3e-4 };
  await openBeside(config, await fla());
  const address = pathToFileURL(join(folder, 'model.safetensors'));
  for (const input of [address, address.href]) {
    const weights = await openWeights(input);
    expect(epsilonIn(weights)).toBe(3e-4);
    await weights.close();
  }
  await mkdir(join(folder, 'alone'));
  const alone = join(folder, 'alone', 'model.safetensors');
  await writeFile(alone, await fla());
  const weights = await openWeights(alone);
  expect(weights.metadata.size).toBe(0);
  await weights.close();
});
