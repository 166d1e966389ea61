import { UsageError } from '@rwkv-js/tensor';
import type { Address } from './address.ts';
import type { Storage } from './storage.ts';

/** The error for what does not fit into the cache. */
export function noRoom(
  storage: Storage,
  address: Address,
  needed: number,
  free?: number,
): UsageError {
  const there = free === undefined ? '' : ` and ${free} are free`;
  return new UsageError(
    `Caching ${address.label} in ${storage.place}: ${needed} more bytes are needed${there}; ` +
      'delete other entries of the cache or make room.',
  );
}
