import { openCpu } from '@rwkv-js/core';
import { specificationModels, specificationPrompt, specificationWeights } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { LanguageModel } from './model.ts';

describe.each(specificationModels)(
  "the specification's RWKV-$version",
  ({ version, logits: expected }) => {
    test.each(['f32', 'f64'] as const)(
      'computes the logits of its appendix in %s',
      async (precision) => {
        await using device = openCpu({ precision });
        await using model = await LanguageModel.load(specificationWeights(version), { device });
        const session = model.session();
        await session.feed(specificationPrompt);
        const found = await session.logits();
        // The appendix prints six decimals.
        const tolerance = precision === 'f64' ? 1e-6 : 1e-5;
        found.forEach((logit, i) => expect(Math.abs(logit - expected[i]!)).toBeLessThan(tolerance));
      },
    );

    test('gives one state and one set of logits however the tokens are split', async () => {
      await using device = openCpu();
      await using model = await LanguageModel.load(specificationWeights(version), { device });
      const results = await Promise.all(
        [[7], [1, 1, 1, 1, 1, 1, 1], [3, 4], [4, 2, 1], [6, 1]].map(async (splits) => {
          const session = model.session();
          let at = 0;
          for (const count of splits) {
            await session.feed(specificationPrompt.slice(at, at + count));
            at += count;
          }
          const logits = await session.logits();
          return { logits, state: (await session.save()).tensors };
        }),
      );
      for (const result of results) expect(result).toEqual(results[0]);
    });

    test('continues a saved, restored or forked state with the same bits', async () => {
      await using device = openCpu();
      await using model = await LanguageModel.load(specificationWeights(version), { device });
      const session = model.session();
      await session.feed(specificationPrompt.slice(0, 4));
      const saved = await session.save();
      const fork = await session.fork();
      const rest = specificationPrompt.slice(4);
      const straight = await logitsAfter(session, rest);
      expect(await logitsAfter(fork, rest)).toEqual(straight);
      expect(await logitsAfter(model.session({ state: saved }), rest)).toEqual(straight);
      await session.restore(saved);
      expect(await logitsAfter(session, rest)).toEqual(straight);
      await session.restore(saved);
      await session.feed([3, 3, 3]);
      expect(await logitsAfter(model.session({ state: saved }), rest)).toEqual(straight);
    });
  },
);

async function logitsAfter(
  session: ReturnType<LanguageModel['session']>,
  tokens: readonly number[],
): Promise<Float32Array> {
  await session.feed(tokens);
  return session.logits();
}
