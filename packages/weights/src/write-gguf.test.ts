import { FormatError, UsageError, viewBytes, type WeightSource } from '@rwkv-js/tensor';
import { specificationWeights } from '@rwkv-js/testing';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openWeights, type OpenedWeights } from './open-weights.ts';
import { writeGguf, type WriteGgufOptions } from './write-gguf.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-gguf-'));
});
afterEach(() => rm(folder, { recursive: true }));

/** Writes and opens again. */
async function written(
  source: WeightSource,
  options: WriteGgufOptions,
): Promise<OpenedWeights & { path: string }> {
  const path = join(folder, 'model.gguf');
  await writeGguf(path, source, options);
  return { ...(await openWeights(path)), path };
}

const text = (bytes: string): Uint8Array => new TextEncoder().encode(bytes);

describe('writeGguf', () => {
  test.each(['6', '7'] as const)(
    'every tensor of an RWKV-%s comes back under its official name, as it was',
    async (version) => {
      const source = specificationWeights(version);
      const back = await written(source, { type: 'F32' });
      expect([back.container, back.layout]).toEqual(['GGUF', 'GGUF']);
      expect(back.metadata.get('general.architecture')).toBe(`rwkv${version}`);
      for (const name of source.tensors.keys()) {
        // Layer 0 mixes no first value in, and GGUF has copies of other tensors there.
        if (/^blocks\.0\.att\.v[012]$/.test(name)) continue;
        const original = viewBytes(source.tensors.get(name)!.dtype, await source.read(name));
        const found = viewBytes(back.tensors.get(name)!.dtype, await back.read(name));
        // Low-rank factors are F32 in an F32 file, so everything is exact.
        expect(found.map(Number), name).toEqual(original.map(Number));
      }
      await back.close();
    },
  );

  test('matrices take the type, rows that are no whole blocks F16, vectors F32', async () => {
    const back = await written(wide(), { type: 'Q8_0', name: 'wide' });
    const stored = (name: string): unknown => {
      const { dtype, blocks } = back.tensors.get(name)!;
      return blocks?.name ?? dtype;
    };
    expect(stored('emb.weight')).toBe('Q8_0');
    expect(stored('blocks.1.att.key.weight')).toBe('Q8_0');
    // Its rows have 48 numbers.
    expect(stored('blocks.1.ffn.value.weight')).toBe('f16');
    expect(stored('blocks.1.att.x_r')).toBe('f32');
    expect(stored('ln_out.bias')).toBe('f32');
    expect(back.metadata.get('general.name')).toBe('wide');
    expect(back.metadata.get('general.file_type')).toBe('7');
    expect(back.metadata.get('rwkv7.wkv.head_size')).toBe('32');
    expect(back.metadata.get('rwkv7.attention.gate_lora_rank')).toBe('16');
    await back.close();
  });

  test('the vocabulary comes back byte for byte, whatever has to be escaped', async () => {
    const vocabulary = [
      undefined,
      ...['\t', '\n', '\r', '\\', "'", '"', `'"`, '\\n', 'ä', '\u007f'].map(text),
      Uint8Array.of(0, 255, 0x80),
    ];
    const source = specificationWeights('7');
    const back = await written(source, { type: 'F16', vocabulary });
    expect(await back.vocabulary!()).toEqual(vocabulary);
    await back.close();
    const twelve = [...vocabulary.slice(0, 11), text('\n\n')];
    const again = await written(source, { type: 'F16', vocabulary: twelve });
    expect(again.metadata.get('tokenizer.ggml.eot_token_id')).toBe('11');
    expect(again.metadata.get('tokenizer.chat_template')).toBe('rwkv-world');
    await again.close();
  });

  test('a vocabulary with more ids than rows is a UsageError, and nothing is written', async () => {
    const vocabulary = Array.from({ length: 13 }, () => text('a'));
    const writing = written(specificationWeights('7'), { type: 'F32', vocabulary });
    await expect(writing).rejects.toThrow(UsageError);
    await expect(writing).rejects.toThrow(
      'the vocabulary has 13 ids, and the model has rows for 12',
    );
    expect(await readdir(folder)).toEqual([]);
  });

  test('what llama.cpp does not run is a FormatError', async () => {
    await expect(written(specificationWeights('4'), { type: 'F32' })).rejects.toThrow(
      'it is no RWKV-6 and no RWKV-7',
    );
    const other = {
      ...specificationWeights('7'),
      metadata: new Map([['group_norm_epsilon', '1e-5']]),
    };
    await expect(written(other, { type: 'F32' })).rejects.toThrow(FormatError);
    await expect(written(other, { type: 'F32' })).rejects.toThrow(
      'llama.cpp computes with 0.00064',
    );
  });

  test('a run that was stopped is gone on with, to the same bytes', async () => {
    const whole = await written(wide(), { type: 'F16' });
    const expected = await readFile(whole.path);
    await whole.close();
    await rm(whole.path);
    const stop = new AbortController();
    let told = 0;
    const stopped = written(wide(), {
      type: 'F16',
      origin: 'wide',
      signal: stop.signal,
      progress: () => {
        if (++told === 20) stop.abort();
      },
    });
    await expect(stopped).rejects.toThrow('aborted');
    const resumed = await written(wide(), { type: 'F16', origin: 'wide' });
    expect(await readFile(resumed.path)).toEqual(expected);
    await resumed.close();
  });
});

/** An RWKV-7 of width 64 whose channel mixing has 48 channels, all numbers small. */
function wide(): WeightSource {
  const [width, heads, size, feedForward, rows] = [64, 2, 32, 48, 96];
  const shapes = new Map<string, number[]>([['emb.weight', [rows, width]]]);
  const vectors = (prefix: string, names: string): void => {
    for (const name of names.split(' ')) shapes.set(`${prefix}${name}`, [width]);
  };
  vectors('blocks.0.ln0.', 'weight bias');
  for (const layer of [0, 1]) {
    const block = `blocks.${layer}.`;
    vectors(block, 'ln1.weight ln1.bias ln2.weight ln2.bias ffn.x_k');
    vectors(`${block}att.`, 'x_r x_w x_k x_v x_a x_g w0 a0 v0 k_k k_a ln_x.weight ln_x.bias');
    for (const letter of ['w', 'a', 'v', 'g']) {
      shapes.set(`${block}att.${letter}1`, [width, 16]);
      shapes.set(`${block}att.${letter}2`, [16, width]);
    }
    shapes.set(`${block}att.r_k`, [heads, size]);
    for (const name of ['receptance', 'key', 'value', 'output']) {
      shapes.set(`${block}att.${name}.weight`, [width, width]);
    }
    shapes.set(`${block}ffn.key.weight`, [feedForward, width]);
    shapes.set(`${block}ffn.value.weight`, [width, feedForward]);
  }
  vectors('ln_out.', 'weight bias');
  shapes.set('head.weight', [rows, width]);
  return {
    label: 'wide.pth',
    tensors: new Map(Array.from(shapes, ([name, shape]) => [name, { dtype: 'f32', shape }])),
    metadata: new Map(),
    async read(name) {
      const count = shapes.get(name)!.reduce((product, length) => product * length);
      const data = Float32Array.from({ length: count }, (_, i) => Math.sin(i + name.length) / 8);
      return new Uint8Array(data.buffer);
    },
    close: async () => undefined,
  };
}
