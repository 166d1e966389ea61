import { timeMix7Recur } from '@rwkv-js/core';
import {
  allocateStates,
  declared,
  elementCount,
  f32,
  i32,
  loadParameters,
  record,
  type Program,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { openWebGpu } from '@rwkv-js/webgpu';
import { dawnFlags } from './speed.ts';

const headSize = 64;
/** Layers of a program, one after another, so that the host keeps up with short ones. */
const layers = 12;
/** Vectors of the rows that a layer takes besides r, with the least and the most of their numbers. */
const rows = {
  decay: [0.55, 0.999],
  k: [-1, 1],
  v: [-1, 1],
  rate: [0, 1],
  gate: [0.5, 1],
} as const;

/** Layers of `timeMix7Recur` alone: what one gives is the receptance of the next. */
function recurrences(tokens: number, slots: number, heads: number): Program {
  const width = heads * headSize;
  return record(`recurrence of ${tokens}`, (g) => {
    const parameter = (name: string, ...shape: number[]) => g.parameter(name, f32(...shape));
    const given = Object.keys(rows).map((name) => parameter(name, tokens, width));
    const perHead = parameter('vectors', 5, width);
    const offsets = g.input('offsets', i32(slots + 1));
    let r = parameter('r', tokens, width);
    for (let layer = 0; layer < layers; layer++) {
      const kept = g.state(`state${layer}`, f32(slots, heads, headSize, headSize));
      const [decay, k, v, rate, gate] = given;
      const [y, next] = timeMix7Recur(r, decay!, k!, v!, rate!, gate!, perHead, kept, offsets, {
        epsilon: 64e-5,
      });
      g.update(kept, next);
      r = y;
    }
    return { y: r };
  });
}

/** Random numbers for the parameters of a program; a block of them again and again. */
function numbersFor(program: Program): WeightSource {
  const tensors = new Map<string, WeightEntry>();
  for (const [name, { shape }] of declared(program, 'parameter')) {
    tensors.set(name, { dtype: 'f32', shape });
  }
  let seed = 12345;
  const block = Float32Array.from({ length: 65521 }, () => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return seed / 2 ** 32;
  });
  return {
    label: 'random numbers',
    tensors,
    metadata: new Map(),
    async read(name) {
      const [least, most] = (rows as Readonly<Record<string, readonly number[]>>)[name] ?? [-1, 1];
      const scaled = block.map((share) => least! + share * (most! - least!));
      const values = new Float32Array(elementCount(tensors.get(name)!.shape));
      for (let at = 0; at < values.length; at += scaled.length) {
        values.set(scaled.subarray(0, values.length - at), at);
      }
      return new Uint8Array(values.buffer);
    },
    close: async () => undefined,
  };
}

/** Who the tokens of a step belong to. */
const layouts = [
  { name: 'one sequence', slots: 1, lengths: (tokens: number) => [tokens] },
  { name: 'one of 8 slots', slots: 8, lengths: (tokens: number) => [tokens, 0, 0, 0, 0, 0, 0, 0] },
  {
    name: '8 sequences',
    slots: 8,
    lengths: (tokens: number) => new Array<number>(8).fill(tokens / 8),
  },
] as const;

/** Measures the recurrence of RWKV-7 over prompts: µs a layer, by tokens, heads and sequences. */
export async function measureRecurrence(profile: boolean): Promise<void> {
  const device = await openWebGpu({ profile, dawn: dawnFlags() });
  for (const heads of [12, 32, 64]) {
    for (const { name, slots, lengths } of layouts) {
      for (const tokens of [64, 256, 1024, 2048]) {
        const program = recurrences(tokens, slots, heads);
        const parameters = await loadParameters(device, [program], numbersFor(program));
        const states = allocateStates(device, [program]);
        const step = await device.compile(program, {
          parameters: parameters.tensors,
          states: states.tensors,
        });
        let end = 0;
        const offsets = [0, ...lengths(tokens).map((length) => (end += length))];
        const state = states.tensors.get('state0')!;
        const time = async (runs: number): Promise<number> => {
          const started = performance.now();
          for (let run = 0; run < runs; run++) step.run({ offsets });
          await device.read(state, { start: 0, count: 4 });
          return performance.now() - started;
        };
        const warm = performance.now() + 200;
        let once = 0;
        while (performance.now() < warm) once = await time(1);
        const runs = Math.max(4, Math.min(200, Math.round(60 / once)));
        const rounds: number[] = [];
        for (let round = 0; round < 5; round++) {
          rounds.push((1000 * (await time(runs))) / (runs * layers));
        }
        rounds.sort((a, b) => a - b);
        console.log(
          `${heads} heads, ${name}, ${tokens} tokens: ` +
            `${rounds[2]!.toFixed(1)} µs a layer (${rounds[0]!.toFixed(1)}–${rounds[4]!.toFixed(1)})`,
        );
        if (profile) console.log(await device.profileReport());
        for (const each of [step, states, parameters]) each.dispose();
      }
    }
  }
  await device.dispose();
}
