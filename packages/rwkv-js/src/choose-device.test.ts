import { openCpu } from '@rwkv-js/core';
import { DeviceError } from '@rwkv-js/tensor';
import { deviceWith } from '@rwkv-js/testing';
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

test('a device that takes long is asked for one step, a faster one for several', async () => {
  const asked = { slow: 0, fast: 0 };
  const counted = (name: keyof typeof asked, milliseconds: number) => () =>
    deviceWith(openCpu(), {
      executable: (own) => ({
        run(inputs) {
          asked[name]++;
          own.run(inputs);
        },
        async read(...names) {
          await new Promise((resolve) => setTimeout(resolve, milliseconds));
          return own.read(...names);
        },
      }),
    });
  const { device } = await chooseDevice({ slow: counted('slow', 300), fast: counted('fast', 0) });
  await device.dispose();
  expect(asked.slow).toBe(1);
  expect(asked.fast).toBeGreaterThanOrEqual(1);
});
