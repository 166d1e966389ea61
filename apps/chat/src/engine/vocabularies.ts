/**
 * Which vocabulary belongs to a model that was loaded by its address: the address of that, or a copy of the
 * file, so that nobody is asked twice.
 */
import { createStore, get, set } from 'idb-keyval';
import type { ModelChoice } from './protocol.ts';

const store = () => createStore('rwkv-chat-vocabularies', 'vocabularies');

/** Keeps the vocabulary of a choice that was loaded. */
export async function remember(choice: ModelChoice): Promise<void> {
  if (choice.kind !== 'address' || choice.vocabulary === undefined) return;
  try {
    await set(choice.address, choice.vocabulary, store());
  } catch {
    // Without a database it is asked for again.
  }
}

/** The vocabulary that a model was loaded with last. */
export async function recall(address: string): Promise<File | string | undefined> {
  try {
    return await get<File | string>(address, store());
  } catch {
    return undefined;
  }
}
