import { UsageError } from '@rwkv-js/tensor';
import type { Storage } from './storage.ts';

export async function opfsStorage(): Promise<Storage> {
  throw new UsageError('this page has no private file system.');
}
