/** What is being done: asking servers and waiting for others; fetching; checking; nothing more. */
export type Stage = 'opening' | 'waiting' | 'downloading' | 'verifying' | 'done';

/** How far files are, all together. No number ever goes down. */
export interface HubProgress {
  readonly stage: Stage;
  /** Bytes that are there, of all files. */
  readonly loadedBytes: number;
  /** Bytes of all files; undefined until every file has been asked for. It never changes then. */
  readonly totalBytes: number | undefined;
  /** True when no byte of any file has to be fetched. */
  readonly fromCache: boolean;
}

const stages: readonly Stage[] = ['opening', 'waiting', 'downloading', 'verifying', 'done'];

/** One file's part of the progress. */
export interface FileProgress {
  /** Another process fetches the file, and has so many bytes of it. */
  waiting(loadedBytes: number): void;
  /** The file is known. */
  opened(size: number, loadedBytes: number, fromCache: boolean): void;
  /** So many bytes came; fewer than none when what had come was lost. */
  gained(bytes: number): void;
  verifying(): void;
  done(): void;
}

/** Adds up the progress of several files. */
export class ProgressSum {
  readonly #report: (progress: HubProgress) => void;
  readonly #files: { stage: Stage; loaded: number; size: number | undefined; cached: boolean }[] =
    [];
  #most = 0;
  #last = '';

  /** @param count how many files there will be */
  constructor(count: number, report: (progress: HubProgress) => void) {
    this.#report = report;
    for (let i = 0; i < count; i++) {
      this.#files.push({ stage: 'opening', loaded: 0, size: undefined, cached: false });
    }
  }

  file(index: number): FileProgress {
    const file = this.#files[index]!;
    const change = (changes: Partial<typeof file>): void => {
      Object.assign(file, changes);
      this.#tell();
    };
    return {
      waiting: (loaded) => change({ stage: 'waiting', loaded }),
      opened: (size, loaded, cached) =>
        change({ size, loaded, cached, stage: cached ? 'done' : 'downloading' }),
      gained: (bytes) => change({ loaded: file.loaded + bytes }),
      verifying: () => change({ stage: 'verifying' }),
      done: () => change({ stage: 'done', loaded: file.size ?? file.loaded }),
    };
  }

  #tell(): void {
    const sizes = this.#files.map(({ size }) => size);
    const known = sizes.every((size) => size !== undefined);
    const first = Math.min(...this.#files.map(({ stage }) => stages.indexOf(stage)));
    this.#most = Math.max(this.#most, sum(this.#files.map(({ loaded }) => loaded)));
    const progress: HubProgress = {
      stage: stages[first]!,
      loadedBytes: this.#most,
      totalBytes: known ? sum(sizes) : undefined,
      fromCache: this.#files.every(({ cached }) => cached),
    };
    const text = JSON.stringify(progress);
    if (text === this.#last) return;
    this.#last = text;
    this.#report(progress);
  }
}

function sum(numbers: readonly (number | undefined)[]): number {
  return numbers.reduce<number>((total, number) => total + (number ?? 0), 0);
}
