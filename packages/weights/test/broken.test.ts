import { FormatError } from '@rwkv-js/tensor';
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { openWeights } from '../src/index.ts';
import { describeShared, sharedPath } from '@rwkv-js/testing';

const golden = sharedPath('golden/');

interface BrokenFile {
  readonly file: string;
  readonly what: string;
  readonly must: string;
}

/** Words that the error of a file must have, beside being an error. */
const mustSay: Record<string, RegExp> = {
  'lfs-pointer.pth': /git-lfs pointer/,
  'lfs-pointer.safetensors': /git-lfs pointer/,
  'web-page.pth': /web page/,
  'empty.pth': /empty/,
  'empty.safetensors': /empty/,
  'pickle-os-system.pth': /os\.system/,
  'pickle-os-system-inside.pth': /os\.system/,
  'pickle-eval.legacy.pth': /builtins\.eval/,
  'pickle-stack-global.pth': /os\.system/,
  'pickle-reduce-getattr.pth': /builtins\.getattr/,
  'pth-quantized-storage.pth': /QInt8Storage/,
  'st-duplicate-key.safetensors': /"a" comes twice/,
  'st-unknown-dtype.safetensors': /unknown dtype/,
  'st-hole.safetensors': /hole/,
  'st-overlap.safetensors': /overlap/,
  'zip-truncated.pth': /cut short/,
  'zip-bomb.pth': /deflate/,
  'legacy-big-endian.pth': /big-endian/,
  'gguf-truncated.gguf': /GGUF.*cut short/,
  'gguf-big-endian.gguf': /big-endian/,
  'gguf-other-arch.gguf': /"llama", which is not RWKV/,
  'gguf-alignment-zero.gguf': /alignment/,
  'gguf-offset-unaligned.gguf': /multiple of 32/,
  'gguf-array-nested.gguf': /deep/,
  'gguf-unknown-type.gguf': /type 4/,
  'ggmf-bad-version.bin': /version is 177/,
  'ggmf-old-quantised.bin': /quantise the model again/,
  'ggmf-truncated.bin': /rwkv\.cpp.*cut short/,
  'ggmf-row-not-32.bin': /blocks of 32/,
  'sharded-escape.index.json': /outside\.safetensors.* not the name of a file/,
  'sharded-missing.index.json': /"model-00001-of-00002\.safetensors" .* no such file/,
};

/** Files that may load, with the tensors that they then have. */
const mayLoad: Record<string, readonly string[]> = {
  'good-minimal.pth': ['emb.weight'],
  'legacy-good-minimal.pth': ['emb.weight'],
  'st-proto-name.safetensors': ['__proto__', 'constructor'],
  'pickle-build-dict.pth': ['a'],
  'zip-escape.pth': ['emb.weight'],
  // Its entries turn out to be stored after all.
  'zip-deflated.pth': ['emb.weight'],
};

const manifest: { readonly files: readonly BrokenFile[] } = existsSync(golden)
  ? JSON.parse(readFileSync(`${golden}broken/manifest.json`, 'utf8'))
  : { files: [] };

async function readAll(file: string): Promise<Map<string, Uint8Array>> {
  const weights = await openWeights(`${golden}broken/${file}`);
  try {
    const all = new Map<string, Uint8Array>();
    for (const name of weights.tensors.keys()) all.set(name, await weights.read(name));
    return all;
  } finally {
    await weights.close();
  }
}

describeShared('broken files', () => {
  const before = Object.getOwnPropertyNames(Object.prototype).sort();

  test.each(manifest.files.map(({ file, what, must }) => [file, what, must] as const))(
    '%s: %s: %s',
    async (file, _what, must) => {
      const loadable = mayLoad[file];
      if (loadable) expect([...(await readAll(file)).keys()]).toEqual(loadable);
      else {
        expect(must).toMatch(/reject|global/);
        const error = await readAll(file).catch((reason: unknown) => reason);
        expect(error).toBeInstanceOf(FormatError);
        expect(String(error)).toContain(file);
        expect(String(error)).toMatch(mustSay[file] ?? /./);
      }
      expect(Object.getOwnPropertyNames(Object.prototype).sort()).toEqual(before);
    },
  );

  test.each(['good-minimal.pth', 'legacy-good-minimal.pth'])('%s holds 0 to 3', async (file) => {
    const bytes = (await readAll(file)).get('emb.weight');
    expect([...new Float32Array(bytes?.slice().buffer ?? new ArrayBuffer(0))]).toEqual([
      0, 1, 2, 3,
    ]);
  });
});
