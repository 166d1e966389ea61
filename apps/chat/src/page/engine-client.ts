import { wrap, type Remote } from 'comlink';
import { newId } from '../conversation/conversation.ts';
import type { Engine } from '../engine/engine.ts';

/** The worker is gone: the browser ended it, or it could not start. */
export class EngineGone extends Error {
  override readonly name = 'EngineGone';
}

/** The worker that computes. Its calls fail at once when it is gone, where they would wait forever. */
export class EngineClient {
  readonly #worker: Worker;
  readonly #remote: Remote<Engine>;
  readonly #gone: Promise<never>;

  constructor() {
    this.#worker = new Worker(new URL('../engine/worker.ts', import.meta.url), {
      type: 'module',
      name: 'rwkv-js engine',
    });
    this.#remote = wrap<Engine>(this.#worker);
    this.#gone = new Promise((_, reject) => {
      this.#worker.addEventListener('error', (event) => {
        event.preventDefault();
        reject(new EngineGone(event.message || 'its program could not be loaded'));
      });
      void this.#watch().then(() => reject(new EngineGone('the browser ended it')));
    });
    this.#gone.catch(() => {});
  }

  /** @throws EngineGone when the worker ends meanwhile; what the call throws. */
  call<T>(ask: (engine: Remote<Engine>) => Promise<T>): Promise<T> {
    return Promise.race([ask(this.#remote), this.#gone]);
  }

  end(): void {
    this.#worker.terminate();
  }

  /** Resolves when the worker is gone: a lock that it holds as long as it lives becomes free. */
  async #watch(): Promise<void> {
    if (!('locks' in navigator)) return new Promise(() => {});
    const name = `rwkv-chat engine ${newId()}`;
    await this.#remote.hold(name);
    await navigator.locks.request(name, () => {});
  }
}
