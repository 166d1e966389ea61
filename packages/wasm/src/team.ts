import { DeviceError } from '@rwkv-js/tensor';
import { addressSpace, pageBytes } from './control.ts';
import { outOfMemory } from './errors.ts';
import { Heap } from './heap.ts';
import type { BeginMessage, ByteRange, Command, Reply } from './protocol.ts';
import { spawn, type SpawnedWorker } from './spawn.ts';

interface Waiting {
  readonly resolve: (data: readonly ArrayBuffer[]) => void;
  readonly reject: (error: DeviceError) => void;
}

/** Memory grows in steps of at least this many pages. */
const growthPages = 64;

/** The workers, their memory, and the one queue of commands to them. */
export class Team {
  /** Resolves when the workers fail for good. */
  readonly lost: Promise<DeviceError>;
  readonly size: number;
  readonly #heap = new Heap();
  readonly #memory: WebAssembly.Memory | undefined;
  #pages = 2;
  readonly #workers: SpawnedWorker[] = [];
  readonly #waiting = new Map<number, Waiting>();
  #sent = 0;
  /** All commands up to this one are done, as far as it was told. */
  #done = 0;
  /** Regions to give back, each once the command is done that was the last one sent. */
  #leaving: { readonly address: number; readonly byteLength: number; readonly after: number }[] =
    [];
  #error: DeviceError | undefined;
  #lose!: (error: DeviceError) => void;
  #ready: (() => void) | undefined;
  #ended: Promise<void> | undefined;

  /**
   * @param memory what all workers share; undefined for one worker with a memory of its own
   */
  private constructor(size: number, memory: WebAssembly.Memory | undefined) {
    this.size = size;
    this.#memory = memory;
    this.lost = new Promise((resolve) => {
      this.#lose = resolve;
    });
  }

  /** Starts workers. @throws DeviceError when they do not start. */
  static async begin(
    script: string,
    module: WebAssembly.Module,
    size: number,
    memory: WebAssembly.Memory | undefined,
  ): Promise<Team> {
    const team = new Team(size, memory);
    let missing = size;
    const ready = new Promise<void>((resolve) => {
      team.#ready = () => {
        missing -= 1;
        if (missing === 0) resolve();
      };
    });
    for (let place = 0; place < size; place++) {
      const worker = await spawn(script, {
        message: (message) => team.#take(message as Reply),
        failed: (reason) => team.#fail(`worker ${place} of ${size} failed: ${reason}`),
      });
      team.#workers.push(worker);
      worker.keepAlive(true);
      const message: BeginMessage = { kind: 'begin', module, memory, place, count: size };
      worker.post(message);
    }
    const error = await Promise.race([ready, team.lost]);
    for (const worker of team.#workers) worker.keepAlive(false);
    if (!error) return team;
    await team.end();
    throw error;
  }

  /** Whether the workers have failed. */
  get failed(): boolean {
    return this.#error !== undefined;
  }

  /** Throws the error that the workers failed with, if they did. */
  check(): void {
    if (this.#error) throw this.#error;
  }

  /** Queues a command. Nothing happens when the workers have failed: reading tells. */
  send(command: Command, transfer?: ArrayBuffer[]): void {
    if (this.#error || this.#ended) return;
    this.#sent += 1;
    this.#workers[0]!.post(command, transfer);
  }

  /**
   * Queues writing of bytes, which are copied now. Where nothing is at work they go into the memory
   * at once.
   */
  write(address: number, bytes: Uint8Array<ArrayBuffer>): void {
    if (this.#memory && this.#done === this.#sent) {
      new Uint8Array(this.#memory.buffer, address, bytes.byteLength).set(bytes);
    } else {
      const copy = bytes.slice();
      this.send({ kind: 'write', address, bytes: copy }, [copy.buffer]);
    }
  }

  /**
   * Bytes of ranges, when what is queued is done.
   *
   * @throws DeviceError when the workers have failed or fail until then
   */
  async read(ranges: readonly ByteRange[]): Promise<readonly ArrayBuffer[]> {
    this.check();
    if (this.#ended) throw this.#disposedError();
    return new Promise((resolve, reject) => {
      const request = this.#sent + 1;
      this.#waiting.set(request, { resolve, reject });
      this.#workers[0]!.keepAlive(true);
      this.send({ kind: 'read', request, ranges });
    });
  }

  /**
   * Memory for something.
   *
   * @throws DeviceError when there is none
   */
  take(byteLength: number, label: string, options: { zero?: boolean } = {}): number {
    this.check();
    const region = this.#heap.take(byteLength);
    if (!region) throw outOfMemory(byteLength, label, this.#heap.taken);
    const { address, isNew } = region;
    try {
      this.#grow(this.#heap.pages);
    } catch (error) {
      this.#heap.give(address, byteLength);
      throw outOfMemory(byteLength, label, this.#heap.taken, error);
    }
    if (options.zero && !isNew) this.#clear(address, byteLength);
    return address;
  }

  /** Gives memory back when what is queued is done. */
  give(address: number, byteLength: number): void {
    if (this.#done === this.#sent) this.#heap.give(address, byteLength);
    else this.#leaving.push({ address, byteLength, after: this.#sent });
  }

  /** Bytes that are taken, what waits to be given back included. */
  get taken(): number {
    return this.#heap.taken;
  }

  /** Ends the workers when what is queued is done. Idempotent. */
  end(): Promise<void> {
    this.#ended ??= (async () => {
      // What waits is done before a read that comes after it is answered.
      if (!this.#error && this.#done !== this.#sent) await this.#drain();
      await Promise.all(this.#workers.map((worker) => worker.end()));
    })();
    return this.#ended;
  }

  async #drain(): Promise<void> {
    const request = ++this.#sent;
    await new Promise<unknown>((resolve) => {
      this.#waiting.set(request, { resolve, reject: resolve });
      this.#workers[0]!.keepAlive(true);
      this.#workers[0]!.post({ kind: 'read', request, ranges: [] } satisfies Command);
    });
  }

  #clear(address: number, byteLength: number): void {
    if (this.#memory && this.#done === this.#sent) {
      new Uint8Array(this.#memory.buffer, address, byteLength).fill(0);
    } else this.send({ kind: 'fill', address, byteLength });
  }

  #grow(pages: number): void {
    if (pages <= this.#pages) return;
    const most = addressSpace / pageBytes;
    const next = Math.min(most, Math.max(pages, this.#pages + growthPages));
    if (this.#memory) this.#memory.grow(next - this.#pages);
    else this.send({ kind: 'grow', pages: next });
    this.#pages = next;
  }

  #take(reply: Reply): void {
    if (reply.kind === 'ready') this.#ready?.();
    else if (reply.kind === 'failed') this.#fail(reply.message);
    else {
      this.#done = Math.max(this.#done, reply.request);
      const leaving = this.#leaving;
      this.#leaving = leaving.filter(({ after }) => after > this.#done);
      for (const { address, byteLength, after } of leaving) {
        if (after <= this.#done) this.#heap.give(address, byteLength);
      }
      const waiting = this.#waiting.get(reply.request);
      this.#waiting.delete(reply.request);
      if (this.#waiting.size === 0) this.#workers[0]!.keepAlive(false);
      waiting?.resolve(reply.data);
    }
  }

  /** The first failure is final: whoever waits is told, and the other workers are ended. */
  #fail(reason: string): void {
    if (this.#error) return;
    this.#error = new DeviceError(`device wasm failed: ${reason}; open a new one`);
    this.#lose(this.#error);
    for (const { reject } of this.#waiting.values()) reject(this.#error);
    this.#waiting.clear();
    for (const worker of this.#workers) void worker.end();
  }

  #disposedError(): DeviceError {
    return new DeviceError('device wasm was disposed while this was waiting; open a new one');
  }
}

/** A region of memory that several use in turns and that is as large as the largest of them asks for. */
export class Region {
  readonly #team: Team;
  #address = 0;
  #byteLength = 0;

  constructor(team: Team) {
    this.#team = team;
  }

  /** Where it lies; it moves when it has to grow. */
  get address(): number {
    return this.#address;
  }

  get byteLength(): number {
    return this.#byteLength;
  }

  /** Makes it at least that large. What was in it is lost when it moves. */
  ensure(byteLength: number, label: string): void {
    if (byteLength <= this.#byteLength) return;
    const address = this.#team.take(byteLength, label);
    if (this.#byteLength > 0) this.#team.give(this.#address, this.#byteLength);
    this.#address = address;
    this.#byteLength = byteLength;
  }
}
