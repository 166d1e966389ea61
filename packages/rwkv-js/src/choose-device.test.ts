import { openCpu } from '@rwkv-js/core';
import { DeviceError } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { chooseDevice, formatCandidates } from './choose-device.ts';

const absent = (): never => {
  throw new DeviceError('there is none');
};

test('a device that does not open is passed over, and why is told', async () => {
  const { device, candidates } = await chooseDevice({ absent, cpu: () => openCpu() });
  await using _ = device;
  expect(device.info.name).toBe('cpu');
  expect(candidates.map(({ name, chosen }) => [name, chosen])).toEqual([
    ['absent', false],
    ['cpu', true],
  ]);
  expect(formatCandidates(candidates)).toMatch(/^ {2}absent: there is none\n\* cpu: \d+\.\d GB\/s/);
});

test('where none opens, the reasons are told', async () => {
  await expect(chooseDevice({ absent })).rejects.toThrow('absent: there is none');
});
