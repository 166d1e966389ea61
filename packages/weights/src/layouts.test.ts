import { FormatError, viewBytes } from '@rwkv-js/tensor';
import { specificationWeights, type SpecificationModel } from '@rwkv-js/testing';
import { describe, expect, test } from 'vitest';
import {
  asFla6,
  asFla7,
  asGguf,
  asHuggingFace,
  asRwkvCpp,
  asWebRwkv,
  contentsOf,
  floatsOf,
  type Floats,
} from '../test/foreign-layouts.ts';
import { layouts } from './layouts.ts';
import type { FileContents } from './layouts/layout.ts';

type Version = SpecificationModel['version'];
type Tensors = ReadonlyMap<string, Floats>;

const specification = (version: Version): Promise<Tensors> =>
  floatsOf(specificationWeights(version));

/** The layout's name, and the tensors once it is undone. */
async function undone(file: FileContents): Promise<{ layout: string; tensors: Tensors }> {
  const layout = layouts.find(({ recognises }) => recognises(file));
  if (!layout) throw new Error('no layout');
  const tensors = new Map<string, Floats>();
  for (const [name, { shape, read }] of layout.apply(file)) {
    tensors.set(name, { shape, data: Float32Array.from(viewBytes('f32', await read({}))) });
  }
  return { layout: layout.name, tensors };
}

const bare = (shape: readonly number[]): readonly number[] => shape.filter((size) => size !== 1);

/** Official tensors; sizes of one do not count, as they do not for models. */
function expectOfficial(found: Tensors, official: Tensors, tolerance = 0): void {
  expect([...found.keys()].sort()).toEqual([...official.keys()].sort());
  for (const [name, { shape, data }] of official) {
    const tensor = found.get(name);
    if (!tensor) throw new Error(`no ${name}`);
    expect(bare(tensor.shape), name).toEqual(bare(shape));
    data.forEach((value, i) => {
      expect(Math.abs(tensor.data[i] - value), `${name}[${i}]`).toBeLessThanOrEqual(tolerance);
    });
  }
}

const without = (tensors: Tensors, pattern: RegExp): Tensors =>
  new Map([...tensors].filter(([name]) => !pattern.test(name)));

const renamed = (tensors: Tensors, from: string, to: string): Tensors =>
  new Map(Array.from(tensors, ([name, tensor]) => [name.replace(from, to), tensor]));

const unusedV = /^blocks\.0\.att\.v[012]$/;

describe('undoing a layout', () => {
  test.each(['4', '5.0', '5.1', '5.2', '6', '7'] as const)(
    'leaves official RWKV-%s as it is',
    async (version) => {
      const official = await specification(version);
      for (const container of ['safetensors', 'torch zip']) {
        const { layout, tensors } = await undone(contentsOf(official, container));
        expect(layout).toBe('official');
        expectOfficial(tensors, official);
      }
    },
  );

  test.each(['4', '5.0', '5.1', '5.2', '6'] as const)(
    'gives official RWKV-%s from Hugging Face names',
    async (version) => {
      const official = await specification(version);
      const file = contentsOf(asHuggingFace(official), 'safetensors');
      const { layout, tensors } = await undone(file);
      expect(layout).toBe('Hugging Face');
      expectOfficial(tensors, official);
    },
  );

  test.each([false, true])('gives official RWKV-7 from fla, mixes fused: %s', async (fused) => {
    const official = await specification('7');
    const { layout, tensors } = await undone(contentsOf(asFla7(official, fused), 'safetensors'));
    expect(layout).toBe('flash-linear-attention');
    expectOfficial(tensors, without(official, unusedV));
  });

  test('gives official RWKV-6 from fla, whose order of the five mixes is another', async () => {
    const official = await specification('6');
    const { layout, tensors } = await undone(contentsOf(asFla6(official), 'safetensors'));
    expect(layout).toBe('flash-linear-attention');
    expectOfficial(tensors, official);
  });

  test.each(['model.', 'rwkv7.'])(
    'takes %s off all but the head for transformers',
    async (prefix) => {
      const official = await specification('7');
      const names = new Map(
        Array.from(official, ([name, tensor]) => [
          name.startsWith('head') ? name : prefix + name.replace('emb.', 'embeddings.'),
          tensor,
        ]),
      );
      const { layout, tensors } = await undone(contentsOf(names, 'safetensors'));
      expect(layout).toBe('transformers RWKV-7');
      expectOfficial(tensors, official);
    },
  );

  test('gives official RWKV-7 from GGUF and drops the copies in layer 0', async () => {
    const official = await specification('7');
    const metadata = { 'general.architecture': 'rwkv7', 'rwkv7.wkv.head_size': '8' };
    const { layout, tensors } = await undone(contentsOf(asGguf(official, '7'), 'GGUF', metadata));
    expect(layout).toBe('GGUF');
    expectOfficial(tensors, without(official, unusedV));
  });

  test.each([0, 1, 2])(
    'gives official RWKV-6 from GGUF, rescaled every %i layers',
    async (every) => {
      const official = await specification('6');
      const metadata = {
        'general.architecture': 'rwkv6',
        ...(every > 0 ? { 'rwkv6.rescale_every_n_layers': String(every) } : {}),
      };
      const file = contentsOf(asGguf(official, '6', every), 'GGUF', metadata);
      expectOfficial((await undone(file)).tensors, official);
    },
  );

  test('takes the five mixes of old GGUF files, which were not fused', async () => {
    const official = await specification('6');
    const fused = without(asGguf(official, '6'), /lerp_fused/);
    const single = Array.from(official).flatMap(([name, { data }]) => {
      const [, block, letter] = /^blocks\.(\d)\.att\.time_maa_([wkvrg])$/.exec(name) ?? [];
      const shape = [data.length];
      return block
        ? [[`blk.${block}.time_mix_lerp_${letter}.weight`, { shape, data }] as const]
        : [];
    });
    const metadata = { 'general.architecture': 'rwkv6' };
    const file = contentsOf(new Map([...fused, ...single]), 'GGUF', metadata);
    expectOfficial((await undone(file)).tensors, official);
  });

  test.each([
    ['4', '4'],
    ['5.0', '5'],
    ['5.2', '5'],
    ['6', '6'],
    ['7', '7'],
  ] as const)('gives RWKV-%s from rwkv.cpp', async (version, theirs) => {
    const official = await specification(version);
    const file = contentsOf(asRwkvCpp(official, theirs), 'rwkv.cpp');
    const { layout, tensors } = await undone(file);
    expect(layout).toBe('rwkv.cpp');
    const bonus = new Map(
      Array.from(official, ([name, tensor]) =>
        version === '5.0' && name.endsWith('time_first')
          ? // The bonus itself goes by the name that says so.
            [
              name.replace('time_first', 'time_faaaa'),
              { ...tensor, data: tensor.data.map(Math.exp) },
            ]
          : [name, tensor],
      ),
    );
    expectOfficial(tensors, without(bonus, unusedV), 1e-6);
  });

  test.each(['4', '5'] as const)(
    'gives decays of rwkv.cpp that f32 could not tell from their bounds back, RWKV-%s',
    async (theirs) => {
      const official = new Map(await specification(theirs === '4' ? '4' : '5.2'));
      const name = 'blocks.1.att.time_decay';
      const { shape, data } = official.get(name)!;
      const extreme = data.map((_, i) => [-120, -30, -9, 4, 6, 90][i % 6]);
      official.set(name, { shape, data: extreme });
      const { tensors } = await undone(contentsOf(asRwkvCpp(official, theirs), 'rwkv.cpp'));
      const decay = (x: number): number =>
        Math.fround(Math.exp(theirs === '4' ? Math.min(x, 88) : -Math.exp(x)));
      tensors.get(name)!.data.forEach((x, i) => {
        expect(Number.isFinite(x)).toBe(true);
        const want = decay(extreme[i]);
        if (want > 0 && want < 1) expect(decay(x) / want).toBeCloseTo(1, 2);
        else expect(decay(x)).toBe(want);
      });
    },
  );

  test.each(['5.1', '5.2', '6', '7'] as const)(
    'gives official RWKV-%s from web-rwkv',
    async (version) => {
      const official = await specification(version);
      const file = contentsOf(asWebRwkv(official, version), 'safetensors');
      const { layout, tensors } = await undone(file);
      expect(layout).toBe('web-rwkv');
      if (version !== '5.1') return expectOfficial(tensors, official);
      // It repeats a head's decay and bonus for each channel, which makes a model of 5.2 of it.
      const decay = tensors.get('blocks.1.att.time_decay')!;
      expect(decay.shape).toEqual([2, 8]);
      const perHead = /time_(decay|faaaa)$/;
      expectOfficial(without(tensors, perHead), without(official, perHead));
    },
  );

  test('keeps names that no table has, so that models can refuse them', async () => {
    const official = new Map(asGguf(await specification('7'), '7'));
    official.set('blk.0.ffn_gate.weight', { shape: [1], data: new Float32Array(1) });
    const metadata = { 'general.architecture': 'rwkv7', 'rwkv7.wkv.head_size': '8' };
    const { tensors } = await undone(contentsOf(official, 'GGUF', metadata));
    expect(tensors.has('blk.0.ffn_gate.weight')).toBe(true);
  });
});

describe('a file that its layout does not fit', () => {
  const metadata = { 'general.architecture': 'rwkv7', 'rwkv7.wkv.head_size': '8' };
  const gguf = async (): Promise<Map<string, Floats>> =>
    new Map(asGguf(await specification('7'), '7'));

  test.each([
    ['blk.1.time_mix_lerp_fused.weight', [5, 1, 1, 16], '6 rows of one size'],
    ['blk.1.time_mix_w1.weight', [16], 'a matrix'],
    ['blk.1.time_mix_r_k.weight', [12], 'a multiple of 8 elements'],
  ])('is refused with the tensor and what was expected: %s', async (name, shape, expected) => {
    const tensors = await gguf();
    const data = new Float32Array(shape.reduce((a, b) => a * b));
    tensors.set(name, { shape, data });
    const error = await undone(contentsOf(tensors, 'GGUF', metadata)).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(FormatError);
    expect(String(error)).toContain(`"${name}" has the shape [${shape.join(', ')}]`);
    expect(String(error)).toContain(expected);
  });

  test('is refused when two tensors are one', async () => {
    const tensors = await gguf();
    tensors.set('head.weight', { shape: [1], data: new Float32Array(1) });
    await expect(undone(contentsOf(tensors, 'GGUF', metadata))).rejects.toThrow(
      'is the official "head.weight"; the file mixes two layouts or is damaged',
    );
  });

  test.each([
    ['llama', 'its architecture is "llama", and rwkv6 and rwkv7 can be read'],
    ['arwkv7', 'its architecture is "arwkv7"'],
  ])('is refused when its architecture is %s', async (architecture, says) => {
    const file = contentsOf(await gguf(), 'GGUF', { 'general.architecture': architecture });
    await expect(undone(file)).rejects.toThrow(says);
  });

  test.each([undefined, '0', '1.5', 'eight'])('is refused with head size %s', async (size) => {
    const file = contentsOf(await gguf(), 'GGUF', {
      'general.architecture': 'rwkv7',
      ...(size === undefined ? {} : { 'rwkv7.wkv.head_size': size }),
    });
    await expect(undone(file)).rejects.toThrow('rwkv7.wkv.head_size; a whole number was expected');
  });

  test('is refused without the norm of the embedding, which GGUF and rwkv.cpp never fold', async () => {
    const official = without(await specification('6'), /ln0/);
    const metadata6 = { 'general.architecture': 'rwkv6' };
    for (const file of [
      contentsOf(asGguf(official, '6'), 'GGUF', metadata6),
      contentsOf(asRwkvCpp(official, '6'), 'rwkv.cpp'),
    ]) {
      await expect(undone(file)).rejects.toThrow('the file is incomplete');
    }
  });

  test('keeps a tensor of no readable type, transposed or not', async () => {
    const file = contentsOf(asWebRwkv(await specification('7'), '7'), 'safetensors');
    const w1 = file.tensors.get('blocks.1.att.w1')!;
    const strange = { ...w1, type: { name: 'I64', bits: 64, dtype: undefined } };
    const tensors = new Map(file.tensors).set('blocks.1.att.w1', strange);
    const layout = layouts.find(({ recognises }) => recognises({ ...file, tensors }))!;
    const found = layout.apply({ ...file, tensors }).get('blocks.1.att.w1')!;
    expect(found.type.name).toBe('I64');
    expect(found.shape).toEqual(w1.shape.toReversed());
  });
});

test('tables with many names keep blocks apart', async () => {
  const official = renamed(await specification('7'), 'blocks.1.', 'blocks.11.');
  const { tensors } = await undone(contentsOf(asWebRwkv(official, '7'), 'safetensors'));
  expectOfficial(tensors, official);
});
