import { layerNorm, linear, openCpu } from '@rwkv-js/core';
import {
  DeviceError,
  f32,
  record,
  toF16Bits,
  type Device,
  type HostArray,
  type Program,
  type TensorSpec,
  type Value,
} from '@rwkv-js/tensor';

const width = 64;
const rows = [1, 6];
/** Rows that meet a weight of halves, which matrix units multiply where there are such. */
const halfRows = 20;
const halves: TensorSpec = { dtype: 'f16', shape: [width, width] };

/** Products of one row, of several and of many, and a norm: what every model leans on, with known results. */
function program(): Program {
  return record('known answer', (recorder) => {
    const weight = recorder.input('weight', f32(width, width));
    const [scale, bias] = ['scale', 'bias'].map((name) => recorder.input(name, f32(width)));
    const result = (count: number): Value => {
      const x = recorder.input(`x${count}`, f32(count, width));
      return linear(layerNorm(linear(x, weight), scale!, bias!, { epsilon: 1e-5 }), weight);
    };
    const many = recorder.input(`x${halfRows}`, f32(halfRows, width));
    return Object.fromEntries([
      ...rows.map((count) => [`y${count}`, result(count)]),
      [`y${halfRows}`, linear(many, recorder.parameter('halves', halves))],
    ]);
  });
}

/**
 * Runs a small program on a device and on the reference.
 *
 * @throws DeviceError when they differ: the driver computes garbage.
 */
export async function checkKnownAnswer(device: Device): Promise<void> {
  const numbers = (count: number, seed: number): Float32Array =>
    Float32Array.from({ length: count }, (_, i) => Math.sin(seed + 1.7 * i));
  const inputs = {
    weight: numbers(width * width, 1),
    scale: numbers(width, 2),
    bias: numbers(width, 3),
    ...Object.fromEntries(
      [...rows, halfRows].map((count) => [`x${count}`, numbers(count * width, count)]),
    ),
  };
  const run = async (on: Device): Promise<readonly HostArray[]> => {
    const weight = on.allocate(halves, { label: 'halves' });
    on.write(weight, Uint16Array.from(numbers(width * width, 4), toF16Bits));
    const step = await on.compile(program(), { parameters: new Map([['halves', weight]]) });
    step.run(inputs);
    const read = await step.read(...[...rows, halfRows].map((count) => `y${count}`));
    step.dispose();
    weight.dispose();
    return Object.values(read);
  };
  await using reference = openCpu();
  const expected = await run(reference);
  const found = await run(device);
  expected.forEach((values, part) => {
    values.forEach((value: number, i: number) => {
      const given = found[part]![i]!;
      if (Math.abs(given - value) <= 1e-3 * Math.max(1, Math.abs(value))) return;
      throw new DeviceError(
        `device ${device.info.name} (${device.info.description}) computes wrong numbers: ${given} where ` +
          `${value} is right; update the graphics driver, or use another device`,
      );
    });
  });
}
