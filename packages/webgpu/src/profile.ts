import type { Cost } from '@rwkv-js/tensor';

/** Dispatches whose times one query set holds; WebGPU allows 4096 queries in a set. */
const capacity = 2048;

/** What was measured of one kernel. */
interface Entry {
  dispatches: number;
  nanoseconds: number;
  bytes: number;
}

/** Times of kernels by their timestamps: every dispatch is a pass of its own. */
export class Profile {
  readonly #gpu: GPUDevice;
  readonly #queries: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #entries = new Map<string, Entry>();
  #names: { readonly name: string; readonly bytes: number }[] = [];
  #pending: Promise<void>[] = [];

  constructor(gpu: GPUDevice) {
    this.#gpu = gpu;
    this.#queries = gpu.createQuerySet({ type: 'timestamp', count: 2 * capacity });
    this.#resolved = gpu.createBuffer({
      size: 16 * capacity,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
  }

  /** Dispatches that one submission can time. */
  get capacity(): number {
    return capacity;
  }

  /** The pass of the next dispatch. */
  begin(name: string, cost: Cost): GPUComputePassDescriptor {
    const at = this.#names.push({ name, bytes: cost.bytesRead + cost.bytesWritten }) - 1;
    return {
      timestampWrites: {
        querySet: this.#queries,
        beginningOfPassWriteIndex: 2 * at,
        endOfPassWriteIndex: 2 * at + 1,
      },
    };
  }

  /** Ends a submission: its times are read when it has run. */
  end(encoder: GPUCommandEncoder): void {
    const names = this.#names;
    this.#names = [];
    const size = 16 * names.length;
    encoder.resolveQuerySet(this.#queries, 0, 2 * names.length, this.#resolved, 0);
    const target = this.#gpu.createBuffer({
      size,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    encoder.copyBufferToBuffer(this.#resolved, 0, target, 0, size);
    this.#pending.push(
      // The encoder is submitted by the caller, after this.
      Promise.resolve().then(async () => {
        await target.mapAsync(GPUMapMode.READ);
        const times = new BigUint64Array(target.getMappedRange());
        names.forEach(({ name, bytes }, i) => {
          const entry = this.#entries.get(name) ?? { dispatches: 0, nanoseconds: 0, bytes: 0 };
          entry.dispatches += 1;
          entry.nanoseconds += Number(times[2 * i + 1]! - times[2 * i]!);
          entry.bytes += bytes;
          this.#entries.set(name, entry);
        });
        target.destroy();
      }),
    );
  }

  /**
   * The table of kernels, the slowest first: dispatches, time, share of all, bandwidth and its share of
   * the roof.
   *
   * @param roof bytes a second that a copy moves
   */
  async format(roof: number): Promise<string> {
    await Promise.all(this.#pending);
    this.#pending = [];
    const rows = [...this.#entries].sort(([, a], [, b]) => b.nanoseconds - a.nanoseconds);
    const total = rows.reduce((sum, [, { nanoseconds }]) => sum + nanoseconds, 0);
    const lines = rows.map(([name, { dispatches, nanoseconds, bytes }]) => {
      const bandwidth = nanoseconds > 0 ? bytes / nanoseconds : 0;
      return [
        name,
        String(dispatches),
        (nanoseconds / 1e6).toFixed(3),
        `${((100 * nanoseconds) / total).toFixed(1)} %`,
        (nanoseconds / 1e3 / dispatches).toFixed(1),
        bandwidth.toFixed(1),
        `${((100 * bandwidth * 1e9) / roof).toFixed(0)} %`,
      ];
    });
    const heading = ['kernel', 'dispatches', 'ms', 'share', 'µs each', 'GB/s', 'of the roof'];
    const widths = heading.map((cell, i) =>
      Math.max(cell.length, ...lines.map((line) => line[i]!.length)),
    );
    return [heading, ...lines]
      .map((line) =>
        line
          .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
          .join('  '),
      )
      .join('\n');
  }

  /** Forgets what was measured. */
  async reset(): Promise<void> {
    await Promise.all(this.#pending);
    this.#pending = [];
    this.#entries.clear();
  }
}
