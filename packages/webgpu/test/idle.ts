/**
 * A program that opens the device, computes, rests, and ends without saying so. It prints the milliseconds of a
 * processor that it took while it rested for a second.
 *
 *   node idle.ts dispose|leave
 */
import { setTimeout } from 'node:timers/promises';
import { add } from '@rwkv-js/core';
import { f32, record } from '@rwkv-js/tensor';
import { openForTests } from './adapter.ts';

const device = (await openForTests())!;
const doubled = record('doubled', (recorder) => {
  const x = recorder.input('x', f32(4));
  return { y: add(x, x) };
});
const step = await device.compile(doubled);
step.run({ x: [1, 2, 3, 4] });
await step.read('y');
const before = process.cpuUsage();
await setTimeout(1000);
const { user, system } = process.cpuUsage(before);
console.log(Math.round((user + system) / 1000));
if (process.argv[2] === 'dispose') await device.dispose();
