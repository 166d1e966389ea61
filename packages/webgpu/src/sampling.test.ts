import { openCpu, sample } from '@rwkv-js/core';
import { f32, i32, record, type Device } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { describeOn, openForTests } from '../test/adapter.ts';

// So many tokens that work groups share a row, and that a bin can hold more of them than are noted.
const [rows, vocabulary] = [6, 5000];

const program = record('draws', (recorder) => {
  const [tokens] = sample(
    recorder.input('logits', f32(rows, vocabulary)),
    recorder.input('slots', i32(rows)),
    recorder.input('settings', f32(rows, 6)),
    recorder.input('random', i32(rows, 2)),
    recorder.input('counts', f32(vocabulary)),
    recorder.state('occurrences', f32(rows, vocabulary), -1),
  );
  return { tokens };
});

/** Temperature, nucleus, topK, presence, frequency, decay. */
const settings = [
  [1, 0.5, 0, 0, 0, 1],
  [0.7, 0.95, 0, 0.2, 0.2, 0.99],
  [1, 0.3, 40, 0, 0, 1],
  [1, 1, 0, 0, 0, 1],
  [0, 0.5, 0, 0, 0, 1],
  [1.5, 0.999, 0, 0, 0, 1],
];

async function drawsOf(
  device: Device,
  logit: (row: number, token: number) => number,
  count: (token: number) => number = () => 1,
): Promise<readonly number[]> {
  const state = device.allocate(f32(rows, vocabulary));
  device.write(state, new Float32Array(rows * vocabulary).fill(-1));
  const step = await device.compile(program, { states: new Map([['occurrences', state]]) });
  const drawn: number[] = [];
  for (let position = 0; position < 5; position++) {
    step.run({
      logits: Float32Array.from({ length: rows * vocabulary }, (_, i) =>
        logit(Math.floor(i / vocabulary), i % vocabulary),
      ),
      slots: Int32Array.from({ length: rows }, (_, i) => i),
      settings: Float32Array.from(settings.flat()),
      random: Int32Array.from({ length: 2 * rows }, (_, i) => (i % 2 === 0 ? 7 + i : position)),
      counts: Float32Array.from({ length: vocabulary }, (_, i) => count(i)),
    });
    drawn.push(...(await step.read('tokens')).tokens);
  }
  step.dispose();
  state.dispose();
  return drawn;
}

const opened = await openForTests();

describeOn(opened, 'drawing from a large vocabulary', (device) => {
  test.each([
    ['of all sorts', (row: number, token: number) => 3 * Math.sin(token * (row + 1.7))],
    ['that are all the same', () => 1],
    ['of which two thirds are the same', (_: number, token: number) => (token % 3 === 0 ? 2 : 1.5)],
    ['of which one is far above', (row: number, token: number) => (token === 99 + row ? 40 : 0)],
  ])('gives the tokens of the reference for logits %s', async (_, logit) => {
    await using reference = openCpu();
    expect(await drawsOf(device, logit)).toEqual(await drawsOf(reference, logit));
  });

  test('leaves topK to tokens that may be drawn', async () => {
    await using reference = openCpu();
    // Two tokens alone, the farther of which comes behind many that are never drawn.
    const logit = (row: number, token: number): number => (token === 4900 ? 0.37 + row / 9 : 1);
    const count = (token: number): number => (token === 3 || token === 4900 ? 1 : -1);
    const drawn = await drawsOf(device, logit, count);
    expect(drawn).toEqual(await drawsOf(reference, logit, count));
    expect(drawn).toContain(4900);
  });
});
