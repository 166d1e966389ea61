import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';
import { findSlot } from './sequences.ts';

const threads = 64;

/** Token ids [tokens] with −1 replaced by the slot's last drawn token [slots, steps]. A thread a row. */
const resolveTokens: KernelMaker = ({ inputs, outputs }) => {
  const tokens = outputs[0]!.shape[0]!;
  const [slots, steps] = inputs[1]!.shape as [number, number];
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(tokens / threads)),
        threads,
        source: ({ inputs: [ids, drawn, offsets], outputs: [resolved] }) => ({
          module: findSlot(offsets!, slots),
          main: wgsl`
  let t = ${flatGroup} * ${threads}u + thread;
  if (t >= ${tokens}u) { return; }
  let slot = slot_of(t);
  var id = 0;
  if (slot < ${slots}u) {
    id = ${ids!.at('t')};
    if (id == -1) { id = ${drawn!.at(`(slot + 1u) * ${steps}u - 1u`)}; }
  }
  ${resolved!.name}[t] = id;`,
        }),
      },
    ],
  };
};

/** The tokens drawn last [slots, steps], moved on by those of this step. A thread a slot. */
const keepDrawn: KernelMaker = ({ inputs }) => {
  const [slots, steps] = inputs[0]!.shape as [number, number];
  const rows = inputs[1]!.shape[0]!;
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(slots / threads)),
        threads,
        source: ({ inputs: [drawn, tokens, slotOf], outputs: [next] }) => ({
          main: wgsl`
  let slot = ${flatGroup} * ${threads}u + thread;
  if (slot >= ${slots}u) { return; }
  var row = ${rows}u;
  for (var i = 0u; i < ${rows}u; i++) {
    if (${slotOf!.at('i')} == i32(slot)) { row = i; }
  }
  let first = slot * ${steps}u;
  if (row == ${rows}u) {
    for (var i = first; i < first + ${steps}u; i++) { ${next!.name}[i] = ${drawn!.at('i')}; }
    return;
  }
  for (var i = first; i + 1u < first + ${steps}u; i++) { ${next!.name}[i] = ${drawn!.at('i + 1u')}; }
  ${next!.name}[first + ${steps - 1}u] = ${tokens!.at('row')};`,
        }),
      },
    ],
  };
};

/** Kernels by the name of their operation. */
export const drawnKernels: Readonly<Record<string, KernelMaker>> = { resolveTokens, keepDrawn };
