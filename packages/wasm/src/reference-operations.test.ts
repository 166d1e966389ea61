import * as core from '@rwkv-js/core';
import type { OpDefinition } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { referenceOperations } from './reference-operations.ts';

test('the workers know every operation of core that has reference loops', () => {
  const missing = Object.values(core)
    .flatMap((value) => {
      const { definition } = value as { definition?: OpDefinition };
      return definition?.reference && !definition.view ? [definition.name] : [];
    })
    .filter((name) => !referenceOperations.has(name));
  expect(missing).toEqual([]);
});
