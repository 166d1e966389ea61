import { FormatError, toBf16Bits, UsageError, viewBytes, type WeightSource } from '@rwkv-js/tensor';
import { specificationNumber } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import { encodeSafetensors, mergeAdapter, openAdapter, openWeights } from '../index.ts';

/** Numbers from a formula, between −1 and 1. */
const numbers = (count: number, seed: number): Float32Array =>
  Float32Array.from({ length: count }, (_, i) => specificationNumber(1000 * seed + i));

type Shapes = Readonly<Record<string, readonly number[]>>;

/** A safetensors file of f32, tensor k made from seed k + 1. */
function file(shapes: Shapes): Uint8Array {
  return encodeSafetensors(
    Object.entries(shapes).map(([name, shape], k) => ({
      name,
      dtype: 'f32',
      shape,
      data: numbers(
        shape.reduce((a, b) => a * b, 1),
        k + 1,
      ),
    })),
  );
}

const open = (shapes: Shapes): ReturnType<typeof openWeights> => openWeights(file(shapes));

const values = async (source: WeightSource, name: string): Promise<Float32Array> =>
  Float32Array.from(viewBytes('f32', await source.read(name)));

const key = 'blocks.0.att.key.weight';
const model: Shapes = { [key]: [4, 6], 'blocks.0.ln1.weight': [6] };

function expectClose(found: ArrayLike<number>, want: readonly number[]): void {
  expect(found.length).toBe(want.length);
  want.forEach((value, i) => expect(found[i]).toBeCloseTo(value, 5));
}

/** W + what the formula adds at row o, column c. */
async function expectAdded(
  adapter: Uint8Array,
  options: Parameters<typeof openAdapter>[1],
  added: (o: number, c: number, base: Float32Array) => number,
  [out, width]: readonly number[] = [4, 6],
): Promise<void> {
  const base = await open({ ...model, [key]: [out, width] });
  const weights = await values(base, key);
  const opened = await openAdapter(adapter, options);
  const merged = mergeAdapter(base, opened);
  const want = Array.from(
    weights,
    (w, at) => w + added(Math.floor(at / width), at % width, weights),
  );
  expectClose(await values(merged, key), want);
  const lowRank = opened.matrices.get(key)?.lowRank;
  if (lowRank) {
    const { down, up } = await lowRank.factors([out, width], {});
    expect([down.length, up.length]).toEqual([lowRank.rank * width, out * lowRank.rank]);
    const product = Array.from(weights, (w, at) => {
      const [o, c] = [Math.floor(at / width), at % width];
      let sum = w;
      for (let j = 0; j < lowRank.rank; j++) sum += up[o * lowRank.rank + j] * down[j * width + c];
      return sum;
    });
    expectClose(product, want);
  }
  await merged.close();
}

describe('merging an adapter', () => {
  test('adds the scaled product of a LoRA', async () => {
    const adapter = file({
      'blocks.0.att.key.lora_A': [2, 6],
      'blocks.0.att.key.lora_B': [4, 2],
    });
    const [a, b] = [numbers(12, 1), numbers(8, 2)];
    const product = (o: number, c: number): number => b[2 * o] * a[c] + b[2 * o + 1] * a[6 + c];
    await expectAdded(adapter, { alpha: 7 }, (o, c) => (7 / 2) * product(o, c));
  });

  test('takes what a PiSSA began with out, and adds what it was trained to', async () => {
    const adapter = file({
      'blocks.0.att.key.lora_A': [1, 6],
      'blocks.0.att.key.lora_B': [4, 1],
    });
    // Newer versions of the trainer write the prefix.
    const init = file({
      'model.blocks.0.att.key.unused': [1],
      'model.blocks.0.att.key.init_lora_A': [1, 6],
      'model.blocks.0.att.key.init_lora_B': [4, 1],
    });
    const [a, b, a0, b0] = [numbers(6, 1), numbers(4, 2), numbers(6, 2), numbers(4, 3)];
    await expectAdded(adapter, { init }, (o, c) => b[o] * a[c] - b0[o] * a0[c]);
  });

  test.each([6, 7])('adds the rows of a Bone over %i columns', async (width) => {
    const adapter = file({ 'blocks.0.att.key.disha': [3, 4] });
    const d = numbers(12, 1);
    await expectAdded(adapter, {}, (o, c) => d[(c % 3) * 4 + o], [4, width]);
  });

  test('multiplies blocks by those of a DiSHA in mode bat', async () => {
    const adapter = file({ 'blocks.0.att.key.disha': [3, 2, 2] });
    const d = numbers(12, 1);
    await expectAdded(adapter, {}, (o, c, base) => {
      const [b, within] = [Math.floor(c / 2), c % 2];
      const block = (k: number): number => d[4 * b + 2 * k + within];
      const [w0, w1] = [base[o * 6 + 2 * b], base[o * 6 + 2 * b + 1]];
      return w0 * block(0) + w1 * block(1) + block(o % 2);
    });
  });

  test('rounds to the dtype that the model has', async () => {
    const shape = [4, 6];
    const data = Uint16Array.from(numbers(24, 1), toBf16Bits);
    const base = await openWeights(encodeSafetensors([{ name: key, dtype: 'bf16', shape, data }]));
    const adapter = await openAdapter(file({ 'blocks.0.att.key.disha': [1, 4] }));
    const merged = mergeAdapter(base, adapter);
    expect(merged.tensors.get(key)).toEqual({ dtype: 'bf16', shape });
    const added = numbers(4, 1);
    const want = data.map((bits, at) => {
      const [value] = new Float32Array(Uint32Array.of(bits << 16).buffer);
      return toBf16Bits(Math.fround(value + added[Math.floor(at / 6)]));
    });
    expect(viewBytes('bf16', await merged.read(key))).toEqual(want);
  });

  test('puts whole tensors in the place of the model’s, and tuned states beside them', async () => {
    const adapter = await openAdapter(
      file({ 'blocks.0.ln1.weight': [1, 1, 6], 'blocks.0.att.time_state': [1, 2, 2] }),
    );
    expect(adapter.kinds).toEqual(['tuned state', 'whole tensors']);
    const merged = mergeAdapter(await open(model), adapter);
    expect(await values(merged, 'blocks.0.ln1.weight')).toEqual(numbers(6, 1));
    expect(await values(merged, 'blocks.0.att.time_state')).toEqual(numbers(4, 2));
    expect(await values(merged, key)).toEqual(numbers(24, 1));
  });

  test('merges one adapter after another', async () => {
    const bone = file({ 'blocks.0.att.key.disha': [1, 4] });
    const once = mergeAdapter(await open(model), await openAdapter(bone));
    const twice = mergeAdapter(once, await openAdapter(bone));
    const d = numbers(4, 1);
    const weights = numbers(24, 1);
    expectClose(
      await values(twice, key),
      Array.from(weights, (w, at) => w + 2 * d[Math.floor(at / 6)]),
    );
  });

  test('reads factors and states as web-rwkv writes them', async () => {
    const lora = await openAdapter(
      file({ 'blocks.0.att.key.lora.0': [6, 2], 'blocks.0.att.key.lora.1': [4, 2] }),
      { alpha: 2 },
    );
    const { down, up } = await lora.matrices.get(key)!.lowRank!.factors([4, 6], {});
    const a = numbers(12, 1);
    expect(down).toEqual(Float32Array.from(a, (_, at) => a[(at % 6) * 2 + Math.floor(at / 6)]));
    expect(up).toEqual(numbers(8, 2));

    const state = file({ 'blocks.0.att.time_state': [1, 2, 3] });
    const named = new File([state.slice()], 'state.st');
    expect((await openAdapter(named)).whole.tensors.get('blocks.0.att.time_state')?.shape).toEqual([
      1, 3, 2,
    ]);
    expect((await openAdapter(state)).whole.tensors.get('blocks.0.att.time_state')?.shape).toEqual([
      1, 2, 3,
    ]);
  });

  test('stops when it is aborted', async () => {
    const adapter = await openAdapter(file({ 'blocks.0.att.key.disha': [1, 4] }));
    const merged = mergeAdapter(await open(model), adapter);
    const signal = AbortSignal.abort();
    await expect(merged.read(key, { signal })).rejects.toMatchObject({ name: 'AbortError' });
  });
});

const lora: Shapes = { 'blocks.0.att.key.lora_A': [2, 6], 'blocks.0.att.key.lora_B': [4, 2] };

describe('an adapter that cannot be', () => {
  const start = file({
    'blocks.0.att.key.init_lora_A': [2, 6],
    'blocks.0.att.key.init_lora_B': [4, 2],
  });
  const bone = { 'blocks.0.att.key.disha': [3, 4] };

  test.each([
    ['a LoRA without alpha', lora, {}, UsageError, 'does not hold the alpha'],
    ['an alpha of nothing', bone, { alpha: 8 }, UsageError, 'alpha was given, and it has no LoRA'],
    [
      'an alpha that is none',
      lora,
      { alpha: -1 },
      UsageError,
      'alpha is -1; it must be a number above 0',
    ],
    ['both alpha and a start', lora, { alpha: 8, init: start }, UsageError, 'leave alpha out'],
    ['a start of nothing', bone, { init: start }, FormatError, 'they are not of one training'],
    [
      'no start file as the start',
      lora,
      { init: file(bone) },
      FormatError,
      'are not of one training',
    ],
    [
      'half of a pair',
      { 'x.lora_A': [2, 6] },
      { alpha: 8 },
      FormatError,
      'has "x.lora_A" and no "x.lora_B"',
    ],
    [
      'factors of two ranks',
      { 'x.lora_A': [2, 6], 'x.lora_B': [4, 3] },
      { alpha: 8 },
      FormatError,
      'both are the rank',
    ],
    [
      'a factor of one axis',
      { 'x.lora_A': [2], 'x.lora_B': [4, 3] },
      { alpha: 8 },
      FormatError,
      '2 axes',
    ],
    ['a matrix changed twice', { ...lora, ...bone }, { alpha: 8 }, FormatError, 'in two ways'],
    [
      'a matrix changed and replaced',
      { ...lora, [key]: [4, 6] },
      { alpha: 8 },
      FormatError,
      'in two ways',
    ],
    [
      'a start file as the adapter',
      { 'x.init_lora_A': [2, 6] },
      {},
      FormatError,
      'start file of a PiSSA',
    ],
    ['no tensors at all', {}, {}, FormatError, 'it has no tensors'],
  ] as const)('is refused: %s', async (_, shapes, options, kind, says) => {
    const error = await openAdapter(file(shapes), options).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(kind);
    expect(String(error)).toContain(says);
  });

  test.each([
    [
      'block',
      { 'blocks.7.att.key.disha': [3, 4] },
      '"blocks.7.att.key.weight", which the model does not have',
    ],
    [
      'height',
      { 'blocks.0.att.key.disha': [3, 5] },
      'is [4, 6] in the model, and the adapter is for 5 rows',
    ],
    [
      'bat width',
      { 'blocks.0.att.key.disha': [2, 2, 2] },
      'for 4 columns and a multiple of 2 rows',
    ],
    ['vector', { 'blocks.0.ln1.weight': [5] }, 'is [6] in the model, and the adapter is for [5]'],
    [
      'no matrix',
      { 'blocks.0.ln1.disha': [3, 4] },
      '"blocks.0.ln1.weight" is f32 [6] and no matrix',
    ],
    ['a model’s file', { 'emb.weight': [3, 4] }, '"emb.weight", which the model does not have'],
  ] as const)('is refused by a model that it is not for: %s', async (_, shapes, says) => {
    const adapter = await openAdapter(file(shapes));
    const base = await open(model);
    expect(() => mergeAdapter(base, adapter)).toThrow(FormatError);
    expect(() => mergeAdapter(base, adapter)).toThrow(says);
  });

  test('a LoRA of another width is refused with both shapes', async () => {
    const adapter = await openAdapter(
      file({ 'blocks.0.att.key.lora_A': [2, 5], 'blocks.0.att.key.lora_B': [4, 2] }),
      { alpha: 8 },
    );
    const base = await open(model);
    expect(() => mergeAdapter(base, adapter)).toThrow(
      'is [4, 6] in the model, and the adapter is for [4, 5]',
    );
  });
});
