import { conformanceCases } from '@rwkv-js/testing';
import { expect, test } from 'vitest';
import { referenceOperations } from './reference-operations.ts';

test('the workers know the operations that have reference loops, and no others', () => {
  expect(referenceOperations.get('linear')!.reference).toBeTypeOf('function');
  const without = new Set(conformanceCases.map(({ op }) => op));
  for (const name of referenceOperations.keys()) without.delete(name);
  // A view, and the composites.
  expect([...without].toSorted()).toEqual([
    'linearOfSparse',
    'linearSquaredRelu',
    'normShiftMix',
    'reshape',
    'timeMix7Project',
    'timeMix7Raise',
    'timeMix7RaiseRecur',
    'timeMix7Recur',
  ]);
});
