import type { Device } from '@rwkv-js/tensor';
import { describeConformance } from '@rwkv-js/testing';
import { afterAll } from 'vitest';
import { describeOn, openForTests } from '../test/adapter.ts';

// One device for all cases, as a driver takes its time to compile what they share.
const opened = await openForTests();

describeOn(opened, 'WebGPU', (device) => {
  afterAll(() => device.dispose());
  describeConformance(
    'webgpu',
    (): Device =>
      new Proxy(device, {
        get(target, key) {
          if (key === Symbol.asyncDispose) return async () => undefined;
          const value: unknown = Reflect.get(target, key, target);
          return typeof value === 'function' ? value.bind(target) : value;
        },
      }),
  );
});
