import { FormatError, UsageError, viewBytes } from '@rwkv-js/tensor';
import { createServer } from 'node:http';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, onTestFinished, test } from 'vitest';
import { stateDict, torchZip } from '../test/torch-writer.ts';
import { openWeights } from './open-weights.ts';
import { encodeSafetensors } from './safetensors-write.ts';

type Shards = Readonly<Record<string, readonly string[]>>;

const tensorOf = (name: string) => ({
  name,
  dtype: 'f32' as const,
  shape: [2],
  data: Float32Array.of(name.length, 7),
});

const twoShards: Shards = {
  'model-00001-of-00002.safetensors': ['emb.weight', 'not.listed'],
  'model-00002-of-00002.safetensors': ['head.weight'],
};
const twoFiles = {
  'emb.weight': 'model-00001-of-00002.safetensors',
  'head.weight': 'model-00002-of-00002.safetensors',
};

const indexText = (weightMap: Readonly<Record<string, string>>): string =>
  JSON.stringify({ metadata: { total_size: 16 }, weight_map: weightMap });

/** A folder with shards and an index; the path of the index. */
async function folderOf(
  weightMap: Readonly<Record<string, string>> = twoFiles,
  shards: Shards = twoShards,
): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'rwkv-shards-'));
  onTestFinished(() => rm(folder, { recursive: true }));
  for (const [file, names] of Object.entries(shards)) {
    const metadata = new Map([['format', 'pt']]);
    await writeFile(join(folder, file), encodeSafetensors(names.map(tensorOf), metadata));
  }
  const index = join(folder, 'model.safetensors.index.json');
  await writeFile(index, indexText(weightMap));
  return index;
}

const fileOf = async (path: string): Promise<File> =>
  new File([new Uint8Array(await readFile(path))], basename(path));

describe('a model in several files', () => {
  test('opens by the path of its index, in the order of the index', async () => {
    const weights = await openWeights(await folderOf());
    expect(weights.container).toBe('safetensors');
    expect(weights.files).toBe(2);
    expect([...weights.tensors.keys()]).toEqual(['emb.weight', 'head.weight']);
    expect([...weights.metadata]).toEqual([['format', 'pt']]);
    expect([...viewBytes('f32', await weights.read('head.weight'))]).toEqual([11, 7]);
    await weights.close();
    await weights.close();
    await expect(weights.read('head.weight')).rejects.toThrow(UsageError);
  });

  test('opens by a file address, and by the address of a server without the index’s query', async () => {
    const index = await folderOf();
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(String(request.url));
      const name = decodeURIComponent(
        new URL(String(request.url), 'http://here').pathname.slice(1),
      );
      void readFile(join(index, '..', name)).then((bytes) => response.end(bytes));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    if (typeof address !== 'object' || !address) throw new Error('no port');
    const url = `http://127.0.0.1:${address.port}/${basename(index)}?token=secret`;
    for (const input of [pathToFileURL(index), url, new URL(url)]) {
      const weights = await openWeights(input);
      expect([...viewBytes('f32', await weights.read('emb.weight'))]).toEqual([10, 7]);
      await weights.close();
    }
    expect(asked).toContain('/model-00002-of-00002.safetensors');
    expect(asked.filter((path) => path.includes('secret'))).toHaveLength(2);
  });

  test('opens from the files of a dropped folder, whatever lies beside', async () => {
    const index = await folderOf();
    const files = await Promise.all([
      ...Object.keys(twoShards).map((name) => fileOf(join(index, '..', name))),
      fileOf(index),
    ]);
    files.push(new File(['{}'], 'config.json'));
    const weights = await openWeights(files);
    expect([...viewBytes('f32', await weights.read('emb.weight'))]).toEqual([10, 7]);
    await weights.close();
  });

  test('opens a list of one file as that file', async () => {
    const index = await folderOf();
    const weights = await openWeights([
      await fileOf(join(index, '..', 'model-00001-of-00002.safetensors')),
    ]);
    expect(weights.files).toBe(1);
    expect([...weights.tensors.keys()]).toEqual(['emb.weight', 'not.listed']);
  });

  test('may be in the format of torch', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'rwkv-shards-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const bytes = new Uint8Array(Float32Array.of(4, 5).buffer);
    const storage = { key: '0', kind: 'Float', bytes, count: 2 } as const;
    const tensor = { name: 'a', storage, offset: 0, shape: [2], strides: [1] };
    const file = torchZip(stateDict([tensor]), [storage]);
    await writeFile(join(folder, 'pytorch_model-00001-of-00001.bin'), file);
    const index = join(folder, 'pytorch_model.bin.index.json');
    await writeFile(index, indexText({ a: 'pytorch_model-00001-of-00001.bin' }));
    const weights = await openWeights(index);
    expect(weights.container).toBe('torch zip');
    expect(await weights.read('a')).toEqual(bytes);
    await weights.close();
  });

  test('reads nothing outside the folder of its index', async () => {
    const names = [
      '../x',
      '/etc/x',
      'a/b',
      String.raw`a\b`,
      'C:x',
      '..',
      '.x',
      '',
      'a\n',
      'a\u0000',
    ];
    for (const file of names) {
      const index = await folderOf({ 'emb.weight': file });
      await expect(openWeights(index)).rejects.toThrow(FormatError);
      await expect(openWeights(index)).rejects.toThrow(/not the name of a file beside the index/);
    }
  });

  test('a file that is not there, or a folder, is a FormatError that names both', async () => {
    const index = await folderOf({ a: 'missing.safetensors' });
    await expect(openWeights(index)).rejects.toThrow(FormatError);
    await expect(openWeights(index)).rejects.toThrow(
      /index\.json: its file "missing\.safetensors" cannot be opened: .* no such file/,
    );
    await mkdir(join(index, '..', 'missing.safetensors'));
    await expect(openWeights(index)).rejects.toThrow(/is a folder/);
  });

  test('a tensor that is not in its file is refused', async () => {
    const index = await folderOf({ ...twoFiles, lost: 'model-00002-of-00002.safetensors' });
    await expect(openWeights(index)).rejects.toThrow(
      /"lost" should be in "model-00002.*none of that name/,
    );
  });

  test('a tensor in two files is refused', async () => {
    const shards = {
      ...twoShards,
      'model-00002-of-00002.safetensors': ['head.weight', 'emb.weight'],
    };
    await expect(openWeights(await folderOf(twoFiles, shards))).rejects.toThrow(
      /"emb.weight" is in "model-00002.* and in "model-00001.*only one can be meant/,
    );
  });

  test.each([
    ['an index that names no tensor', '{"weight_map": {}}', /names no tensor/],
    [
      'an index that names a tensor twice',
      '{"weight_map": {"a": "x", "a": "y"}}',
      /"a" comes twice/,
    ],
    ['an index with numbers for files', '{"weight_map": {"a": 1}}', /a string was expected/],
    ['an index that goes on', '{"weight_map": {"a": "x"}} {}', /something follows/],
    [
      'an index that names itself',
      '{"weight_map": {"a": "i.index.json"}}',
      /"i\.index\.json" cannot be opened: .*JSON text/,
    ],
  ])('%s is refused', async (_, text, message) => {
    const index = join(await folderOf(), '..', 'i.index.json');
    await writeFile(index, text);
    await expect(openWeights(index)).rejects.toThrow(FormatError);
    await expect(openWeights(index)).rejects.toThrow(message);
  });

  test.each([
    ['no file', []],
    ['two files and no index', [new File([], 'a.safetensors'), new File([], 'b.safetensors')]],
    ['two indexes', [new File([], 'a.index.json'), new File([], 'b.index.json')]],
  ])('a list of %s is a UsageError', async (_, files) => {
    await expect(openWeights(files)).rejects.toThrow(UsageError);
    await expect(openWeights(files)).rejects.toThrow(
      /an index \(\.index\.json\), one was expected/,
    );
  });

  test('a file missing in the list is named', async () => {
    const files = [new File([indexText(twoFiles)], 'model.safetensors.index.json')];
    await expect(openWeights(files)).rejects.toThrow(
      /no "model-00001-of-00002\.safetensors" among them/,
    );
  });

  test('an aborted signal is an AbortError', async () => {
    const signal = AbortSignal.abort();
    await expect(openWeights(await folderOf(), { signal })).rejects.toMatchObject({
      name: 'AbortError',
    });
  });
});
