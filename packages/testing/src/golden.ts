import { viewBytes, type HostArray, type WeightSource } from '@rwkv-js/tensor';
import { expect } from 'vitest';

/** What a language model offers of itself to {@link expectGolden}. */
export interface GoldenModel {
  readonly config: { readonly vocabularySize: number };
  session(): {
    feedWithLogits(
      tokens: HostArray,
      take: (row: Float32Array, index: number) => void,
    ): Promise<void>;
    save(): Promise<{ readonly tensors: ReadonlyMap<string, Float32Array> }>;
    generate(options: typeof greedy & { readonly maxTokens: number }): {
      text(): Promise<string>;
      readonly tokens: readonly number[];
    };
  };
}

const greedy = { temperature: 0, presencePenalty: 0, frequencyPenalty: 0, stopTokens: [] };

/** How far logits and states may be from those that were computed in double precision. */
const tolerance = 2e-4;

/**
 * Holds a model to an expectation of the reference data: the logits of every token, the states, where there
 * are some, and the greedy continuation.
 */
export async function expectGolden(model: GoldenModel, expected: WeightSource): Promise<void> {
  const tokens = await elements(expected, 'tokens');
  const logits = await elements(expected, 'logits');
  const { vocabularySize } = model.config;

  const session = model.session();
  let worst = 0;
  await session.feedWithLogits(tokens, (row, index) => {
    row.forEach((logit, i) => {
      worst = Math.max(worst, Math.abs(logit - logits[index * vocabularySize + i]!));
    });
  });
  expect(worst).toBeLessThanOrEqual(tolerance);

  const state = await session.save();
  const names = [...expected.tensors.keys()].filter((name) => name.startsWith('state.'));
  if (names.length > 0) expect(names.sort()).toEqual([...state.tensors.keys()].sort());
  for (const name of names) {
    const want = await elements(expected, name);
    const found = state.tensors.get(name)!;
    expect(found.length).toBe(want.length);
    want.forEach((value, i) => {
      const relative = Math.abs(found[i]! - value) / Math.max(1, Math.abs(value));
      expect(relative, `${name}[${i}]`).toBeLessThanOrEqual(tolerance);
    });
  }

  const wanted = [...(await elements(expected, 'greedy'))];
  const generation = session.generate({ ...greedy, maxTokens: wanted.length });
  await generation.text();
  expect(generation.tokens).toEqual(wanted);
}

async function elements(source: WeightSource, name: string): Promise<HostArray> {
  return viewBytes(source.tensors.get(name)!.dtype, await source.read(name));
}
