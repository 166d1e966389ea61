import { specificationModels, specificationWeights } from '@rwkv-js/testing';
import { FormatError, UsageError } from '@rwkv-js/tensor';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  encodeSafetensors,
  encodeState,
  LanguageModel,
  openCpu,
  openWeights,
  readState,
  stories,
  type SessionState,
} from './index.ts';

const versions = specificationModels.map(({ version }) => version);

const load = (version: (typeof versions)[number]): Promise<LanguageModel> =>
  LanguageModel.load(specificationWeights(version), { device: openCpu(), slots: 1 });

test.each(versions)('RWKV-%s goes on from a file as it would have', async (version) => {
  await using model = await load(version);
  const session = model.session();
  await session.feed([1, 2, 3]);
  const pending = await session.save();
  await session.logits();
  const read = await session.save();
  await session.feed([4, 5]);
  const expected = await session.logits();
  for (const state of [pending, read]) {
    const again = await readState(encodeState(state), { model });
    expect(again).toEqual(state);
    const other = model.session({ state: again });
    await other.feed([4, 5]);
    expect(await other.logits()).toEqual(expected);
  }
});

test('a state that has read nothing comes back too', async () => {
  await using model = await load('4');
  const state = await model.session().save();
  expect(await readState(encodeState(state), { model })).toEqual(state);
});

test('the file is safetensors, whose metadata say what it is', async () => {
  await using model = await load('7');
  const session = model.session();
  await session.feed([1, 2]);
  const file = await openWeights(encodeState(await session.save()));
  expect(file.metadata.get('rwkv_state_version')).toBe('1');
  expect(file.metadata.get('rwkv_state_fingerprint')).toBe(model.fingerprint);
  expect(file.metadata.get('rwkv_state_pending')).toBe('2');
  expect(file.tensors.get('state.1.wkv')).toEqual({ dtype: 'f32', shape: [128] });
  await file.close();
});

test('a state of other sizes or other weights is refused where the model is named', async () => {
  await using model = await load('7');
  const state = await model.session().save();
  await using six = await load('6');
  await expect(readState(encodeState(state), { model: six })).rejects.toThrow(
    'a state continues on the model it was saved from',
  );
  const source = specificationWeights('7');
  const changed = {
    ...source,
    read: async (name: string) => {
      const bytes = await source.read(name);
      if (name === 'ln_out.bias') bytes[0]! ^= 1;
      return bytes;
    },
  };
  await using other = await LanguageModel.load(changed, { device: openCpu(), slots: 1 });
  expect(other.fingerprint).not.toBe(model.fingerprint);
  const reading = readState(encodeState(state), { model: other });
  await expect(reading).rejects.toThrow('was made with other weights of the same sizes');
  await expect(reading).rejects.toBeInstanceOf(UsageError);
  expect(other.session({ state: await readState(encodeState(state)) }).tokenCount).toBe(0);
});

test.each([
  ['of a later version', { rwkv_state_version: '2' }, 'of version "2"'],
  ['without a count', { rwkv_state_version: '1' }, 'its rwkv_state_token_count is null'],
  ['with half a count', { rwkv_state_version: '1', rwkv_state_token_count: '1.5' }, 'is "1.5"'],
  ['that is another file', { format: 'pt' }, 'is no saved state'],
])('a file %s is refused', async (_, metadata, says) => {
  const file = encodeSafetensors([], new Map(Object.entries(metadata)));
  await expect(readState(file)).rejects.toThrow(says);
  await expect(readState(file)).rejects.toBeInstanceOf(FormatError);
});

test('a model is no saved state', async () => {
  await expect(readState(stories.weights)).rejects.toThrow('is no saved state');
});

test('damaged bytes give a state that the model checks, or an error of ours', async () => {
  await using model = await load('7');
  const whole = encodeState(await model.session().save());
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 1), fc.nat(255), async (at, byte) => {
      const bytes = whole.slice();
      bytes[at] = byte;
      let state: SessionState;
      try {
        state = await readState(bytes, { model });
        await model.session({ state }).dispose();
      } catch (error) {
        expect(error instanceof FormatError || error instanceof UsageError).toBe(true);
      }
    }),
    { seed: 7, numRuns: 200 },
  );
});
