import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import { findSlot, offsetAt } from './sequences.ts';

const threads = 64;

/**
 * Token shift: x [tokens, width], state [slots, width]. A thread for each channel of a slot walks its
 * sequence, so the state may be written where it lies; threads of further slots clear padding rows.
 */
const tokenShift: KernelMaker = ({ inputs, outputs }) => {
  const [tokens, width] = inputs[0]!.shape as [number, number];
  const slots = inputs[1]!.shape[0]!;
  const count = (slots + 1) * width;
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(count / threads)),
        threads,
        source: ({ inputs: [x, state, offsets], outputs: [shifted, next] }) => ({
          main: wgsl`
  let i = ${flatGroup} * ${threads}u + thread;
  if (i >= ${count}u) { return; }
  let slot = i / ${width}u;
  let c = i % ${width}u;
  let start = ${offsetAt(offsets!, 'slot', tokens)};
  if (slot == ${slots}u) {
    for (var t = start; t < ${tokens}u; t++) { ${shifted!.name}[t * ${width}u + c] = 0.0; }
    return;
  }
  let end = ${offsetAt(offsets!, 'slot + 1u', tokens)};
  var kept = ${state!.at('i')};
  for (var t = start; t < end; t++) {
    ${shifted!.name}[t * ${width}u + c] = kept;
    kept = ${x!.at(`t * ${width}u + c`)};
  }
  ${next!.name}[i] = kept;`,
        }),
      },
    ],
    cost: {
      operations: tokens * width,
      bytesWritten: 4 * (tokens + outputs[1]!.shape[0]!) * width,
    },
  };
};

/** Its gradients: a thread for each element of dx [tokens, width] and of dstate [slots, width]. */
const tokenShiftBackward: KernelMaker = ({ inputs }) => {
  const [tokens, width] = inputs[0]!.shape as [number, number];
  const slots = inputs[1]!.shape[0]!;
  const count = (tokens + slots) * width;
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(count / threads)),
        threads,
        source: ({ inputs: [shifted, state, offsets], outputs: [dx, dstate] }) => ({
          module: findSlot(offsets!, slots),
          main: wgsl`
  let i = ${flatGroup} * ${threads}u + thread;
  if (i >= ${count}u) { return; }
  let c = i % ${width}u;
  if (i >= ${tokens * width}u) {
    let place = i - ${tokens * width}u;
    let slot = place / ${width}u;
    let start = ${offsetAt(offsets!, 'slot', tokens)};
    if (start >= ${offsetAt(offsets!, 'slot + 1u', tokens)}) { ${dstate!.name}[place] = ${state!.at('place')}; }
    else { ${dstate!.name}[place] = ${shifted!.at(`start * ${width}u + c`)}; }
    return;
  }
  let t = i / ${width}u;
  let slot = slot_of(t);
  var value = 0.0;
  if (slot < ${slots}u) {
    if (t + 1u == ${offsetAt(offsets!, 'slot + 1u', tokens)}) { value = ${state!.at(`slot * ${width}u + c`)}; }
    else { value = ${shifted!.at(`i + ${width}u`)}; }
  }
  ${dx!.name}[i] = value;`,
        }),
      },
    ],
  };
};

/** Kernels by the name of their operation. */
export const tokenShiftKernels: Readonly<Record<string, KernelMaker>> = {
  tokenShift,
  tokenShiftBackward,
};
