import { UsageError, type Device } from '@rwkv-js/tensor';
import { WasmDevice } from './device.ts';
import { sharedKernels, singleKernels } from './generated/kernels.ts';
import { workerScript } from './generated/worker.ts';
import { outOfMemory } from './errors.ts';
import { isNode } from './spawn.ts';
import { Team } from './team.ts';

export interface WasmOptions {
  /**
   * Workers that compute, at least 1. Without it: as many as the machine has processors, at most 8, and
   * one in a page that is not cross-origin isolated. More than there are processors is slower.
   */
  readonly threads?: number;
}

/** Threads that help are few: they share the machine's memory, and wait for each other at every step. */
const mostThreads = 8;

/**
 * Opens the fast device for CPUs: WebAssembly with SIMD in worker threads over one memory of up to 4 GiB. The
 * calling thread is free while it works. The same program over the same step gives the same bits with any
 * number of threads.
 *
 * Several threads need memory that they can share: Node has it, a page when it is cross-origin isolated
 * (headers COOP and COEP). Dispose it when it is no longer needed: its workers sleep, but stay.
 *
 * @throws UsageError for a number of threads that is none, or for several where there can be one;
 * DeviceError when workers do not start.
 */
export async function openWasm(options: WasmOptions = {}): Promise<Device> {
  const shares = canShare();
  const most = shares ? Number.MAX_SAFE_INTEGER : 1;
  const { threads = Math.min(await processors(), mostThreads, most) } = options;
  if (!Number.isInteger(threads) || threads < 1) {
    throw new UsageError(`threads is a whole number from 1, and ${threads} was given`);
  }
  if (threads > most) {
    throw new UsageError(
      `${threads} threads need memory that they can share, which this page has not: serve it with the ` +
        'headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp, ' +
        'or ask for one thread',
    );
  }
  const module = await compile(shares ? sharedKernels : singleKernels);
  const memory = shares ? sharedMemory() : undefined;
  return new WasmDevice(await Team.begin(workerScript, module, threads, memory));
}

function canShare(): boolean {
  if (typeof SharedArrayBuffer === 'undefined') return false;
  return isNode() || globalThis.crossOriginIsolated;
}

async function processors(): Promise<number> {
  if (!isNode()) return globalThis.navigator?.hardwareConcurrency ?? 1;
  return (await import('node:os')).availableParallelism();
}

function sharedMemory(): WebAssembly.Memory {
  try {
    return new WebAssembly.Memory({ initial: 2, maximum: 65536, shared: true });
  } catch (error) {
    throw outOfMemory(2 ** 32, 'the address space of its memory', 0, error);
  }
}

const modules = new Map<string, Promise<WebAssembly.Module>>();

/** Modules are compiled once for all devices of a process. */
function compile(base64: string): Promise<WebAssembly.Module> {
  const known = modules.get(base64);
  if (known) return known;
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  const module = WebAssembly.compile(bytes);
  modules.set(base64, module);
  return module;
}
