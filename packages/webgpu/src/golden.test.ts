import { existsSync } from 'node:fs';
import { LanguageModel } from '@rwkv-js/language';
import { describeShared, deviceWith, expectGolden, sharedPath } from '@rwkv-js/testing';
import { openWeights } from '@rwkv-js/weights';
import { expect, test } from 'vitest';
import { describeOn, isSlow, openForTests } from '../test/adapter.ts';

/** Files with the expectations that they are held to; a slow driver takes one of each generation. */
const files: readonly (readonly [string, string])[] = [
  ['model.safetensors', 'expected.safetensors'],
  ...(isSlow
    ? []
    : [
        ['model.f16.safetensors', 'expected.safetensors'] as const,
        ['model.q8_0.gguf', 'expected.q8_0.safetensors'] as const,
      ]),
];
const folders = isSlow
  ? ['v4', 'v5.2', 'v6', 'v7']
  : ['v4', 'v5.0', 'v5.1', 'v5.2', 'v6', 'v7', 'v7-head64'];

const opened = await openForTests();

describeShared('the golden models on WebGPU', () => {
  describeOn(opened, 'the golden models', (webGpu) => {
    const present = folders.flatMap((folder) =>
      files
        .filter(([file]) => existsSync(sharedPath(`golden/${folder}/${file}`)))
        .map(([file, expectation]) => [folder, file, expectation] as const),
    );

    test('are there for every generation', () => {
      expect(new Set(present.map(([folder]) => folder[1]))).toEqual(new Set('4567'));
    });

    test.each(present)('%s/%s gives %s', async (folder, file, expectation) => {
      const expected = await openWeights(sharedPath(`golden/${folder}/${expectation}`));
      const source = await openWeights(sharedPath(`golden/${folder}/${file}`));
      // Every number of tokens is a program to compile.
      const device = isSlow ? deviceWith(webGpu, { kernels: { tokenBuckets: [1, 16] } }) : webGpu;
      await using model = await LanguageModel.load(source, { device });
      await source.close();
      await expectGolden(model, expected);
      await expected.close();
    });
  });
});
