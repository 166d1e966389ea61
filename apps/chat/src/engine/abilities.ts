import type { Abilities } from './protocol.ts';

/** What of WebGPU's types is needed to see whether there is any. */
interface Gpu {
  requestAdapter(): Promise<unknown>;
}

/** Looks at what the browser offers, and says in plain words what to do about what it does not. */
export async function abilities(): Promise<Abilities> {
  return {
    noWebGpu: await noWebGpu(),
    isolated: globalThis.crossOriginIsolated === true,
    processors: navigator.hardwareConcurrency || 1,
  };
}

async function noWebGpu(): Promise<string | undefined> {
  const gpu = (navigator as { gpu?: Gpu }).gpu;
  if (!globalThis.isSecureContext) {
    return 'WebGPU needs a page served over https (or from localhost).';
  }
  if (!gpu) {
    return (
      'This browser has no WebGPU here. Chrome and Edge have it from version 113 on, Safari from 26, ' +
      'Firefox from 141 (Windows) and 145 (Mac).'
    );
  }
  const adapter = await gpu.requestAdapter().catch(() => undefined);
  if (adapter) return undefined;
  return (
    'The browser knows WebGPU but may not use your graphics processor. Switch on “graphics acceleration” ' +
    'in its settings and update the graphics driver; on Linux, Chrome also needs chrome://flags/#enable-unsafe-webgpu.'
  );
}
