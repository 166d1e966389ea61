import { f32, record } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { exp } from '../ops/exp.ts';
import { negate } from '../ops/negate.ts';
import { openCpu } from './device.ts';

test('programs share memory for what lies between operations, and keep their outputs', async () => {
  await using device = openCpu();
  const programs = [3, 300, 30].map((size) =>
    record(`${size} numbers`, (recorder) => ({
      y: negate(exp(negate(recorder.input('x', f32(size))))),
    })),
  );
  const executables = await Promise.all(programs.map((program) => device.compile(program)));
  const inputs = [3, 300, 30].map((size, i) => Float32Array.from({ length: size }, () => i / 4));
  // In turns, so that each runs after the shared memory was moved and written by the others.
  for (const turn of [0, 1, 0, 2, 1]) executables[turn]!.run({ x: inputs[turn]! });
  for (const [i, executable] of executables.entries()) {
    const { y } = await executable.read('y');
    expect(y).toEqual(inputs[i]!.map((x) => -Math.exp(-x)));
  }
});
