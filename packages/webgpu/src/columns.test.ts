import { linearOfSparse, openCpu } from '@rwkv-js/core';
import {
  f16,
  f32,
  loadParameters,
  record,
  toF16Bits,
  type Device,
  type Program,
  type WeightSource,
} from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeOn, openForTests } from '../test/adapter.ts';
import { columns } from './layouts.ts';

// A matrix so large that it lies by columns; a device has its columns in more than one block.
const [out, depth] = [2048, 16384];

const matrix: WeightSource = {
  label: 'a matrix',
  tensors: new Map([['weight', f16(out, depth)]]),
  metadata: new Map(),
  read: async () => {
    const few = Uint16Array.from({ length: 251 }, (_, i) =>
      toF16Bits(((i * 37) % 251) / 251 - 0.5),
    );
    const bits = Uint16Array.from({ length: out * depth }, (_, i) => few[i % few.length]!);
    return new Uint8Array(bits.buffer);
  },
  close: async () => undefined,
};

const product = (rows: number): Program =>
  record(`product of ${rows}`, (recorder) => ({
    y: linearOfSparse(
      recorder.input('x', f32(rows, depth)),
      recorder.parameter('weight', f16(out, depth)),
    ),
  }));

/** Rows with a number here and there, in one of them none. */
function sparseRows(rows: number): Float32Array {
  return Float32Array.from({ length: rows * depth }, (_, i) =>
    i % 13 === 0 && Math.floor(i / depth) !== 1 ? ((i * 7) % 101) / 50 - 1 : 0,
  );
}

async function productsOn(device: Device): Promise<readonly Float32Array[]> {
  const programs = [1, 3, 20].map(product);
  const parameters = await loadParameters(device, programs, matrix);
  const results: Float32Array[] = [];
  for (const [i, program] of programs.entries()) {
    const step = await device.compile(program, { parameters: parameters.tensors });
    step.run({ x: sparseRows([1, 3, 20][i]!) });
    results.push((await step.read('y')).y as Float32Array);
    step.dispose();
  }
  if (device.info.name === 'webgpu') {
    expect(parameters.tensors.get('weight')!.layout).toBe(columns);
  }
  parameters.dispose();
  return results;
}

const opened = await openForTests();

describeOn(opened, 'a large matrix by columns', (device) => {
  test('gives what its rows give, whatever columns are left out', async () => {
    await using reference = openCpu();
    const [found, expected] = await Promise.all([productsOn(device), productsOn(reference)]);
    found.forEach((values, i) => {
      const far = values.findIndex((value, at) => Math.abs(value - expected[i]![at]!) > 1e-4);
      expect(far, `product ${i}`).toBe(-1);
    });
  });
});
