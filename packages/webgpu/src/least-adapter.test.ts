import type { Device } from '@rwkv-js/tensor';
import { describeConformance } from '@rwkv-js/testing';
import { describeOn, isSlow, openForTests } from '../test/adapter.ts';
import type { Capabilities } from './kernel.ts';

/** What every adapter offers. */
const least: Partial<Capabilities> = {
  subgroups: false,
  narrowestSubgroup: 0,
  subgroupMatrices: false,
  integerDot: false,
  threads: 256,
  workgroupMemory: 16384,
  bindings: 10,
  largestBinding: 2 ** 27,
};

const found = isSlow ? undefined : await openForTests({}, least);
await found?.dispose();

describeOn(found, 'WebGPU with the least that adapters offer', () => {
  describeConformance('webgpu', async (): Promise<Device> => (await openForTests({}, least))!);
});
