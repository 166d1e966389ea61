import type { SessionState } from 'rwkv-js';
import { createStore, del, get, keys, set } from 'idb-keyval';

/** Bytes of states that are kept; beyond, the oldest go, and are computed from the text when needed. */
const mostBytes = 128 * 2 ** 20;

/**
 * States of the model by the message that they follow. They are in the browser's database, so that they
 * outlive the worker and the page; in memory too, for where there is no database or no room.
 */
export class States {
  readonly #store = createStore('rwkv-chat-states', 'states');
  readonly #held = new Map<string, { state: SessionState; pinned: boolean }>();
  #full = false;

  /** True when the browser had no room for a state. */
  get full(): boolean {
    return this.#full;
  }

  /** The state after a message, if it is kept. */
  async get(id: string): Promise<SessionState | undefined> {
    const held = this.#held.get(id)?.state;
    return held ?? (await this.#asked(() => get<SessionState>(id, this.#store)));
  }

  /**
   * @param how.pinned it cannot be computed from text, so it is not dropped to make room
   */
  async put(id: string, state: SessionState, how: { pinned?: boolean } = {}): Promise<void> {
    this.#held.delete(id);
    this.#held.set(id, { state, pinned: how.pinned ?? false });
    await this.#dropOldest();
    try {
      await set(id, state, this.#store);
      this.#full = false;
    } catch {
      this.#full = true;
    }
  }

  /** Forgets the states of messages that are no more. */
  async keepOnly(ids: ReadonlySet<string>): Promise<void> {
    for (const id of this.#held.keys()) if (!ids.has(id)) this.#held.delete(id);
    const stored = (await this.#asked(() => keys<string>(this.#store))) ?? [];
    const gone = stored.filter((id) => !ids.has(id));
    await Promise.all(gone.map((id) => this.#asked(() => del(id, this.#store))));
  }

  /** What the database says; nothing where there is none, as in some private windows. */
  async #asked<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch {
      return undefined;
    }
  }

  async #dropOldest(): Promise<void> {
    let total = 0;
    for (const { state } of this.#held.values()) total += bytesOf(state);
    for (const [id, { state, pinned }] of this.#held) {
      if (total <= mostBytes) return;
      if (pinned) continue;
      this.#held.delete(id);
      await this.#asked(() => del(id, this.#store));
      total -= bytesOf(state);
    }
  }
}

function bytesOf({ tensors, logits }: SessionState): number {
  let total = logits?.byteLength ?? 0;
  for (const data of tensors.values()) total += data.byteLength;
  return total;
}
