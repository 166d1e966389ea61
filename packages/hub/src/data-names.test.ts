import { expect, test } from 'vitest';
import { contentPrefix, packedName, wholeName } from './data-names.ts';

const sum = '0123456789abcdef'.repeat(4);

test('a file and what is packed from it have names that begin with the content', () => {
  expect(wholeName(sum, 'model v1 (é).pth')).toBe('0123456789ab-model-v1-.pth');
  expect(wholeName(sum, 'x'.repeat(300))).toHaveLength(113);
  expect(packedName(sum, 'webgpu-q4', 2)).toBe('0123456789ab-packed-webgpu-q4-v2');
  expect(packedName(sum, 'webgpu-q4', 3)).not.toBe(packedName(sum, 'webgpu-q4', 2));
  for (const name of [wholeName(sum, 'm'), packedName(sum, 'a', 1)]) {
    expect(name.startsWith(contentPrefix(sum))).toBe(true);
  }
});
