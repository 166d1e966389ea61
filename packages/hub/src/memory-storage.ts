import type { Lock, Storage, WritableData } from './storage.ts';
import { waitUnlessAborted } from './wait-unless-aborted.ts';

/** Storage that ends with the page or process, for where nothing else is to be had. */
export function memoryStorage(): Storage {
  const texts = new Map<string, string>();
  const files = new Map<string, MemoryFile>();
  const locks = new Map<string, Promise<void>>();
  let changes = 0;
  const at = (key: string, name: string): string => `${key}/${name}`;
  const all = (): string[] => [...texts.keys(), ...files.keys()];

  return {
    kind: 'memory',
    place: 'memory',
    pieceBytes: 1024 * 1024,
    async keys() {
      return [...new Set(all().map((path) => path.slice(0, path.indexOf('/'))))];
    },
    async names(key) {
      const mine = all().filter((path) => path.startsWith(`${key}/`));
      return new Map(
        mine.map((path) => [
          path.slice(key.length + 1),
          files.get(path)?.stored ?? texts.get(path)!.length,
        ]),
      );
    },
    async readText(key, name) {
      return texts.get(at(key, name));
    },
    async writeText(key, name, text) {
      texts.set(at(key, name), text);
    },
    async openData(key, name) {
      return files.get(at(key, name));
    },
    async writeData(key, name) {
      const file = files.get(at(key, name)) ?? new MemoryFile(++changes);
      files.set(at(key, name), file);
      return file;
    },
    async nameData(key, from, to) {
      const file = files.get(at(key, from));
      if (!file) throw new Error('it was deleted meanwhile');
      files.set(at(key, to), file);
      files.delete(at(key, from));
      return to;
    },
    async stamp(key, name) {
      const file = files.get(at(key, name));
      return file && `${file.size} bytes, number ${file.number}`;
    },
    path: () => undefined,
    async remove(key, name) {
      for (const path of name === undefined ? all() : [at(key, name)]) {
        if (name === undefined && !path.startsWith(`${key}/`)) continue;
        texts.delete(path);
        files.delete(path);
      }
    },
    async boot() {
      return 'memory';
    },
    async free() {
      return undefined;
    },
    async lock(key, signal, waiting, name = 'lock') {
      const path = at(key, name);
      for (;;) {
        const held = locks.get(path);
        if (!held) return take(path);
        await waiting();
        await waitUnlessAborted(held, signal);
      }
    },
  };

  function take(path: string): Lock {
    let free = (): void => {};
    const held = new Promise<void>((resolve) => (free = resolve));
    locks.set(path, held);
    return {
      async release() {
        if (locks.get(path) === held) locks.delete(path);
        free();
      },
    };
  }
}

/** Memory is taken in pieces as it is written, so that there is no one large buffer. */
class MemoryFile implements WritableData {
  static readonly #blockBytes = 1024 * 1024;
  readonly number: number;
  readonly #blocks = new Map<number, Uint8Array>();
  #size = 0;

  constructor(number: number) {
    this.number = number;
  }

  get size(): number {
    return this.#size;
  }

  get stored(): number {
    return this.#blocks.size * MemoryFile.#blockBytes;
  }

  async read(position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
    const result = new Uint8Array(Math.max(0, Math.min(length, this.#size - position)));
    this.#each(position, result.length, (block, from, to, at) => {
      const bytes = this.#blocks.get(block)?.subarray(from, to);
      if (bytes) result.set(bytes, at);
    });
    return result;
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    this.#each(position, bytes.length, (block, from, to, at) => {
      const held = this.#blocks.get(block) ?? new Uint8Array(MemoryFile.#blockBytes);
      this.#blocks.set(block, held);
      held.set(bytes.subarray(at, at + to - from), from);
    });
    this.#size = Math.max(this.#size, position + bytes.length);
  }

  async sync(): Promise<void> {}
  async close(): Promise<void> {}

  /** Calls back for each block that a range touches: which, from where to where in it, at what of the range. */
  #each(
    position: number,
    length: number,
    visit: (block: number, from: number, to: number, at: number) => void,
  ): void {
    const size = MemoryFile.#blockBytes;
    for (let at = 0; at < length;) {
      const block = Math.floor((position + at) / size);
      const from = position + at - block * size;
      const to = Math.min(size, from + length - at);
      visit(block, from, to, at);
      at += to - from;
    }
  }
}
