import { FormatError, UsageError, viewBytes } from '@rwkv-js/tensor';
import { readFileSync } from 'node:fs';
import { truncate, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bf16Bits, fixtureFiles, fixtureTensors, fixtureValues } from '../test/fixtures.ts';
import { openWeights } from './open-weights.ts';

const fixture = (name: string): string =>
  fileURLToPath(new URL(`../test/fixtures/${name}`, import.meta.url));

let folder = '';
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rwkv-weights-'));
});
afterAll(() => rm(folder, { recursive: true }));

const header = (json: string, dataBytes = 0): Uint8Array => {
  const text = new TextEncoder().encode(json);
  const file = new Uint8Array(8 + text.length + dataBytes);
  new DataView(file.buffer).setBigUint64(0, BigInt(text.length), true);
  file.set(text, 8);
  return file;
};

describe('openWeights', () => {
  test.each([...fixtureFiles().keys()])('%s in the repository is what the maker writes', (name) => {
    const made = fixtureFiles().get(name) ?? new Uint8Array(0);
    expect(Buffer.compare(readFileSync(fixture(name)), made)).toBe(0);
  });

  test.each([
    ['model.pth', 'torch zip', 'bf16'],
    ['model.views.pth', 'torch zip', 'bf16'],
    ['model.legacy.pth', 'torch legacy', 'f32'],
    ['model.safetensors', 'safetensors', 'f32'],
  ] as const)('%s opens as %s with the values of the formula', async (name, container, dtype) => {
    const weights = await openWeights(fixture(name));
    expect(weights.container).toBe(container);
    expect(weights.label).toBe(fixture(name));
    expect(weights.tensors.size).toBe(fixtureTensors.length);
    for (const [t, { name: tensor, shape }] of fixtureTensors.entries()) {
      expect(weights.tensors.get(tensor)).toEqual({ dtype, shape });
      const values = fixtureValues(t);
      const expected = dtype === 'bf16' ? bf16Bits(values) : values;
      expect(viewBytes(dtype, await weights.read(tensor))).toEqual(expected);
    }
    await weights.close();
  });

  test('takes a path, a file address, a blob, a buffer and a view of one', async () => {
    const bytes = readFileSync(fixture('model.pth'));
    const padded = new Uint8Array(bytes.length + 3);
    padded.set(bytes, 3);
    const address = new URL('../test/fixtures/model.pth', import.meta.url);
    const inputs = [
      address,
      address.href,
      new Blob([bytes]),
      new Uint8Array(bytes).buffer,
      padded.subarray(3),
    ];
    for (const input of inputs) {
      const weights = await openWeights(input);
      expect(viewBytes('bf16', await weights.read('scale'))).toEqual(bf16Bits(fixtureValues(6)));
      await weights.close();
    }
  });

  test('tells the format by content and not by name', async () => {
    const path = join(folder, 'model.safetensors');
    await writeFile(path, readFileSync(fixture('model.legacy.pth')));
    const weights = await openWeights(path);
    expect(weights.container).toBe('torch legacy');
    await weights.close();
  });

  test('keeps the metadata of the file', async () => {
    const weights = await openWeights(fixture('model.safetensors'));
    expect([...weights.metadata]).toEqual([['format', 'pt']]);
    await weights.close();
  });

  test('a missing path is a UsageError that names it', async () => {
    const path = join(folder, 'nothing.pth');
    await expect(openWeights(path)).rejects.toThrow(UsageError);
    await expect(openWeights(path)).rejects.toThrow(path);
  });

  test('a folder is a UsageError', async () => {
    await expect(openWeights(folder)).rejects.toThrow(/is a folder/);
  });

  test('a wrong name is a UsageError with the file and near names', async () => {
    const weights = await openWeights(fixture('model.pth'));
    const error = await weights.read('blocks.0.ln1.wieght').catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(UsageError);
    expect(String(error)).toMatch(/model\.pth.*the nearest names are "blocks\.0\.ln1\.weight"/);
    await weights.close();
  });

  test('closes twice, and does not read afterwards', async () => {
    for (const input of [fixture('model.pth'), new Blob([readFileSync(fixture('model.pth'))])]) {
      const weights = await openWeights(input);
      await weights.close();
      await weights.close();
      await expect(weights.read('scale')).rejects.toThrow(UsageError);
    }
  });

  test('an aborted signal is an AbortError at opening and at reading', async () => {
    const signal = AbortSignal.abort();
    await expect(openWeights(fixture('model.pth'), { signal })).rejects.toThrow(
      expect.objectContaining({ name: 'AbortError' }),
    );
    const weights = await openWeights(fixture('model.pth'));
    await expect(weights.read('scale', { signal })).rejects.toThrow(
      expect.objectContaining({ name: 'AbortError' }),
    );
    await weights.close();
  });

  test('lists a tensor of another element type as unsupported and refuses only to read it', async () => {
    const json = JSON.stringify({
      steps: { dtype: 'I64', shape: [1], data_offsets: [0, 8] },
      scale: { dtype: 'F32', shape: [], data_offsets: [8, 12] },
    });
    const weights = await openWeights(header(json, 12));
    expect([...weights.tensors.keys()]).toEqual(['scale']);
    expect(weights.unsupported.get('steps')).toEqual({ elementType: 'I64', shape: [1] });
    expect(await weights.read('scale')).toHaveLength(4);
    await expect(weights.read('steps')).rejects.toThrow(/"steps" has elements of I64/);
    await expect(weights.read('steps')).rejects.toThrow(FormatError);
  });

  test('gives memory of the caller’s own', async () => {
    const file = new Uint8Array(readFileSync(fixture('model.safetensors')));
    const weights = await openWeights(file);
    (await weights.read('scale')).fill(255);
    expect(viewBytes('f32', await weights.read('scale'))).toEqual(fixtureValues(6));
  });

  test('reads only the header of a file of five gigabytes', async () => {
    const size = 5 * 2 ** 30;
    const start = header(
      JSON.stringify({
        big: { dtype: 'F16', shape: [size / 2], data_offsets: [0, size] },
        last: { dtype: 'F16', shape: [4], data_offsets: [size, size + 8] },
      }),
    );
    const path = join(folder, 'sparse.safetensors');
    await writeFile(path, start);
    await truncate(path, start.length + size + 8);
    const before = process.memoryUsage().arrayBuffers;
    const weights = await openWeights(path);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(2 ** 20);
    expect(weights.tensors.get('big')?.shape).toEqual([size / 2]);
    expect(await weights.read('last')).toEqual(new Uint8Array(8));
    await weights.close();
  });
});

describe('files that are no weights', () => {
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);
  const tar = new Uint8Array(1024);
  tar.set(text('model.pth'));
  tar.set(text('ustar'), 257);

  test.each([
    ['nothing', new Uint8Array(0), /the file is empty/],
    [
      'a git-lfs pointer',
      text('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 12\n'),
      /git-lfs pointer.*git lfs pull/,
    ],
    ['a web page', text('\n <!doctype HTML><html><body>404</body></html>'), /web page/],
    ['a web page without doctype', text('<html>\n  <body>404</body></html>'), /web page/],
    ['an error of a file server', text('<?xml version="1.0"?><Error/>'), /XML/],
    ['an old ggml file', text('lmgge\0\0\0{\0\0\0'), /ggml/],
    ['a tar archive', tar, /tar archive/],
    ['a gzip file', Uint8Array.of(0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 0, 3), /gzip/],
    [
      'an index without its files',
      text('{"metadata": {}, "weight_map": {"a": "b"}}'),
      /its file "b" cannot be opened.*give the files together: openWeights\(\[index, \.\.\.files\]\)/,
    ],
    ['a configuration', text('{\n  "vocab_size": 65536\n}'), /JSON/],
    ['a plain pickle', Uint8Array.of(0x80, 4, 0x4e, 0x2e), /pickle/],
    [
      'a safetensors file with an absurd header length',
      Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0x10, ...text('{"a":{}}')),
      /its header should take 1152921504606846976 bytes, and the file has 16;/,
    ],
    ['anything else', text('hello \u001b[31m'), /68 65 6c 6c 6f.*"hello \\u001b\[31m"/],
  ])('%s is refused by its name', async (_, bytes, message) => {
    await expect(openWeights(bytes)).rejects.toThrow(FormatError);
    await expect(openWeights(bytes)).rejects.toThrow(message);
  });

  test('a name that ends in .safetensors is taken at its word', async () => {
    const path = join(folder, 'noise.safetensors');
    await writeFile(
      path,
      Uint8Array.from({ length: 20 }, (_, i) => 255 - i),
    );
    await expect(openWeights(path)).rejects.toThrow(/take \d{20} bytes, and the file has 20;/);
  });
});
