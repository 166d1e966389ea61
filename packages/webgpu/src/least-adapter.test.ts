import type { Device } from '@rwkv-js/tensor';
import { describeConformance } from '@rwkv-js/testing';
import { describeOn, isSlow, openForTests } from '../test/adapter.ts';
import { leastAdapter } from '../test/least-adapter.ts';

const found = isSlow ? undefined : await openForTests({}, leastAdapter);
await found?.dispose();

describeOn(found, 'WebGPU with the least that adapters offer', () => {
  describeConformance(
    'webgpu',
    async (): Promise<Device> => (await openForTests({}, leastAdapter))!,
  );
});
