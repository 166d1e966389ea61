/// <reference types="@webgpu/types" />
import { DeviceError } from '@rwkv-js/tensor';

/** Where Dawn's instances are kept: collecting one kills the process while a device of it lives. */
const keeper = globalThis as { rwkvWebGpu?: Map<string, GPU> };

const enabling = 'enable-dawn-features=';

/**
 * What Node asks of Dawn besides: halves and their matrices on drivers of NVIDIA, which Dawn keeps back as
 * they are no standard yet, and no clamping of every index, which takes a tenth of the speed: the shaders are
 * all our own, and a test shows that none leaves its buffers (docs/decisions/0025-what-node-asks-of-dawn.md).
 */
const nodeFeatures = ['allow_unsafe_apis', 'vulkan_enable_f16_on_nvidia', 'disable_robustness'];

/** Flags of Dawn with those that Node asks for, but for what they themselves switch off. */
export function withNodeFeatures(flags: readonly string[]): string[] {
  const named = (prefix: string): string[] =>
    flags.flatMap((flag) => (flag.startsWith(prefix) ? flag.slice(prefix.length).split(',') : []));
  const off = named('disable-dawn-features=');
  const on = [...nodeFeatures, ...named(enabling)].filter((feature) => !off.includes(feature));
  return [...flags.filter((flag) => !flag.startsWith(enabling)), `${enabling}${on.join()}`];
}

/**
 * The platform's WebGPU: that of the page or worker, or in Node that of the package `webgpu`.
 *
 * @param flags of Dawn, for Node alone: `backend=null`, `adapter=…`
 * @throws DeviceError where there is none.
 */
export async function platformGpu(flags: readonly string[]): Promise<GPU> {
  if (typeof navigator !== 'undefined' && 'gpu' in navigator && navigator.gpu) return navigator.gpu;
  const known = keeper.rwkvWebGpu?.get(flags.join());
  if (known) return known;
  if (typeof process === 'undefined' || !process.versions?.node) {
    throw new DeviceError(
      'device webgpu cannot be opened: this browser has no WebGPU here; use a browser that has it, over https',
    );
  }
  let module: typeof import('webgpu');
  try {
    module = await importAtRunTime('webgpu');
  } catch (cause) {
    throw new DeviceError(
      "device webgpu cannot be opened: the package 'webgpu' does not load; install it beside rwkv-js",
      { cause },
    );
  }
  Object.assign(globalThis, module.globals);
  const gpu = module.create(withNodeFeatures(flags));
  (keeper.rwkvWebGpu ??= new Map()).set(flags.join(), gpu);
  return gpu;
}

/** An import that bundlers leave alone: a page has no use for the package, and none has to be installed. */
function importAtRunTime(name: string): Promise<typeof import('webgpu')> {
  return import(/* @vite-ignore */ /* webpackIgnore: true */ name);
}
