import type { Device } from '@rwkv-js/tensor';
import { describeConformance } from '@rwkv-js/testing';
import { afterAll } from 'vitest';
import { openWebGpu } from './index.ts';

// One device for all cases, as a driver takes its time to compile what they share.
const device = openWebGpu();
afterAll(async () => (await device).dispose());

describeConformance('webgpu', async (): Promise<Device> => {
  const shared = await device;
  return new Proxy(shared, {
    get(target, key) {
      if (key === Symbol.asyncDispose) return async () => undefined;
      const value: unknown = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
});
