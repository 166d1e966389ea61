import { openCpu } from '@rwkv-js/core';
import { randomWeights } from '@rwkv-js/testing';
import { UsageError, type Device } from '@rwkv-js/tensor';
import { openWasm } from '@rwkv-js/wasm';
import { describe, expect, test } from 'vitest';
import { LanguageModel, rwkv7Entries, weightsIn, type WeightFormat } from '../src/index.ts';

/** Large enough for every layout and kernel: panels, more than one block of columns, ranks that fill panels. */
const shape = {
  layers: 2,
  width: 64,
  feedForwardWidth: 544,
  headSize: 32,
  vocabularySize: 72,
  ranks: { w: 32, a: 32, v: 32, g: 64 },
};

const tokens = Array.from({ length: 70 }, (_, i) => (i * 37) % 72);

async function load(device: Device, format: WeightFormat): Promise<LanguageModel> {
  const source = weightsIn(format, randomWeights(rwkv7Entries(shape, 'f32')));
  return LanguageModel.load(source, { device, slots: 4 });
}

/** Logits after all tokens, after a save and a restore, and of three sequences that share steps. */
async function outcome(device: Device, format: WeightFormat): Promise<Float32Array[]> {
  await using model = await load(device, format);
  const session = model.session();
  await session.feed(tokens);
  const first = await session.logits();
  const restored = model.session({ state: await session.save() });
  await restored.feed([7, 8, 9]);
  const others = [1, 2, 3].map(async (length) => {
    const other = model.session();
    await other.feed(tokens.slice(0, 9 * length));
    return other.logits();
  });
  return [first, await restored.logits(), ...(await Promise.all(others))];
}

describe.each(['f32', 'f16', 'bf16', 'q8', 'q4'] as const)('weights in %s', (format) => {
  test('give the same bits with any number of threads', async () => {
    const all: Float32Array[][] = [];
    for (const threads of [1, 3]) {
      await using device = await openWasm({ threads });
      all.push(await outcome(device, format));
    }
    expect(all[1]).toEqual(all[0]);
  });

  test('give the same bits however tokens share steps', async () => {
    await using device = await openWasm({ threads: 2 });
    await using model = await load(device, format);
    // 70 tokens are steps of 64, 4 and 1; then one by one, while another sequence is beside them for a part.
    const together = model.session();
    await together.feed(tokens);
    const [alone, other] = [model.session(), model.session()];
    for (const [i, token] of tokens.entries()) {
      await Promise.all([alone.feed([token]), i % 3 === 0 && other.feed([5, 6, token])]);
    }
    expect(await alone.logits()).toEqual(await together.logits());
  });

  test('give what the reference device gives', async () => {
    await using device = await openWasm({ threads: 2 });
    await using reference = openCpu();
    const [found, expected] = [await outcome(device, format), await outcome(reference, format)];
    // A quant that rounds the other way moves a sum by more than rounding does.
    const allowed = format === 'q8' || format === 'q4' ? 2e-2 : 2e-4;
    let worst = 0;
    found.forEach((logits, which) => {
      logits.forEach((logit, i) => {
        worst = Math.max(worst, Math.abs(logit - expected[which]![i]!));
      });
    });
    expect(worst).toBeLessThan(allowed);
  });
});

test('many sessions, aborts and disposals in mid-run leave the model in order', async () => {
  await using device = await openWasm({ threads: 2 });
  const model = await load(device, 'f16');
  const controller = new AbortController();
  const runs = Array.from({ length: 9 }, async (_, i) => {
    const session = model.session();
    await session.feed(tokens, i === 4 ? { signal: controller.signal } : {});
    return session.logits();
  });
  controller.abort();
  const settled = await Promise.allSettled(runs);
  expect(settled.map(({ status }) => status === 'fulfilled')).toEqual(
    Array.from({ length: 9 }, (_, i) => i !== 4),
  );
  const last = model.session();
  const feeding = last.feed(tokens);
  const rejected = expect(feeding).rejects.toThrow(UsageError);
  await model.dispose();
  await rejected;
});
