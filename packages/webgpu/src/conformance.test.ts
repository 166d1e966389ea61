import type { Device } from '@rwkv-js/tensor';
import { describeConformance } from '@rwkv-js/testing';
import { describeOn, openForTests } from '../test/adapter.ts';

const found = await openForTests();
await found?.dispose();

describeOn(found, 'WebGPU', () => {
  describeConformance('webgpu', async (): Promise<Device> => (await openForTests())!);
});
