import { readConfig, recordStep, type WeightFormat } from '@rwkv-js/language';
import {
  allocateStates,
  elementCount,
  loadParameters,
  type Executable,
  type HostArray,
  type RunInputs,
  type WeightSource,
} from '@rwkv-js/tensor';
import { openWebGpu } from '@rwkv-js/webgpu';
import { repeatedWeights } from './weights.ts';

/** Seconds before the first round that counts. */
const warmUp = 1.5;

/** What is measured of one model. */
export interface Subject {
  readonly size: string;
  readonly format: WeightFormat;
  /** Sequences that are written side by side, and rows of a prompt. */
  readonly measures: readonly Measure[];
}

export interface Measure {
  readonly name: string;
  readonly tokens: number;
  readonly slots: number;
  /** Steps between readbacks. */
  readonly burst: number;
  readonly steps: number;
}

/** Decode with one sequence: eight tokens before a readback. */
export const decode: Measure = { name: 'one sequence', tokens: 1, slots: 1, burst: 8, steps: 64 };
/** Thirty-two sequences, a token each. */
export const batch: Measure = { name: '32 sequences', tokens: 32, slots: 32, burst: 4, steps: 16 };

/** A prompt of 2,048 tokens in chunks. */
export function prompt(chunk: number): Measure {
  const steps = 2048 / chunk;
  return {
    name: `prompt of 2048, chunks of ${chunk}`,
    tokens: chunk,
    slots: 1,
    burst: steps,
    steps,
  };
}

/**
 * Measures a model of random weights on the WebGPU device: tokens a second, median of rounds, with the
 * bytes of its parameters.
 */
export async function measure(
  { size, format, measures }: Subject,
  profile: boolean,
): Promise<void> {
  const source = withCounts(repeatedWeights(size, format));
  const config = readConfig(source);
  const dtypes = new Map([...source.tensors].map(([name, { dtype }]) => [name, dtype]));
  const device = await openWebGpu({ profile, dawn: dawnFlags() });
  try {
    for (const slots of new Set(measures.map((one) => one.slots))) {
      const mine = measures.filter((one) => one.slots === slots);
      const programs = mine.map(({ tokens }) =>
        recordStep(config, dtypes, {
          tokens,
          slots,
          rows: slots,
          activations: device.kernels.activations,
        }),
      );
      const started = performance.now();
      let peak = 0;
      const parameters = await loadParameters(device, programs, source, {
        progress: () => {
          peak = Math.max(peak, process.memoryUsage.rss());
        },
      });
      const loaded = (performance.now() - started) / 1000;
      console.log(
        `RWKV-7 ${size} ${format}: ${(parameters.byteLength / 1e9).toFixed(2)} GB loaded in ` +
          `${loaded.toFixed(1)} s, host peak ${(peak / 1e9).toFixed(2)} GB`,
      );
      const states = allocateStates(device, programs);
      const tensors = { parameters: parameters.tensors, states: states.tensors };
      for (const [i, one] of mine.entries()) {
        const compileStarted = performance.now();
        const step = await device.compile(programs[i]!, tensors);
        const compiled = performance.now() - compileStarted;
        // A card that had nothing to do takes a while until its clocks are up.
        const warm = performance.now() + 1000 * warmUp;
        while (performance.now() < warm) await time(step, one, config.vocabularySize);
        const rounds = [];
        for (let round = 0; round < 5; round++) {
          rounds.push(await time(step, one, config.vocabularySize));
        }
        const rates = rounds
          .map(({ seconds }) => (one.steps * one.tokens) / seconds)
          .sort((a, b) => a - b);
        const encoding = Math.min(...rounds.map((round) => round.encoding)) / one.steps;
        console.log(
          `  ${one.name}: ${rates[2]!.toFixed(0)} tokens/s (${rates[0]!.toFixed(0)}–${rates.at(-1)!.toFixed(0)}), ` +
            `${step.plan.calls.length} calls, made ready in ${compiled.toFixed(0)} ms, ` +
            `${(1000 * encoding).toFixed(2)} ms of the host a step`,
        );
        if (profile) {
          await device.profileReport();
          await time(step, one, config.vocabularySize);
          console.log(indent(await device.profileReport()));
        }
        step.dispose();
      }
      const drawn = await device.read(
        [...states.tensors.values()].find(({ spec }) => spec.dtype === 'i32')!,
      );
      if (drawn[0]! < 0) throw new Error('the device drew nothing: its logits are no numbers');
      states.dispose();
      parameters.dispose();
    }
  } finally {
    await device.dispose();
  }
}

/** Seconds that the steps took, and those of the host until they were queued. */
interface Round {
  readonly seconds: number;
  readonly encoding: number;
}

async function time(step: Executable, one: Measure, vocabulary: number): Promise<Round> {
  const inputs = inputsFor(step, one, vocabulary);
  const started = performance.now();
  let encoding = 0;
  for (let at = 0; at < one.steps; at += one.burst) {
    const before = performance.now();
    for (let i = 0; i < one.burst; i++) step.run(inputs);
    encoding += (performance.now() - before) / 1000;
    // Drawing is behind this output in the queue.
    await step.read('logProbabilities');
  }
  return { seconds: (performance.now() - started) / 1000, encoding };
}

function inputsFor(step: Executable, { tokens, slots }: Measure, vocabulary: number): RunInputs {
  const each = tokens / slots;
  const values: Record<string, (i: number) => number> = {
    tokens: (i) => (i * 7919 + 11) % vocabulary,
    offsets: (i) => i * each,
    logitRows: (i) => (i + 1) * each - 1,
    sampleSlots: (i) => i,
    targets: () => -1,
    settings: (i) => [1, 0.5, 0, 0.2, 0.2, 0.996][i % 6]!,
    random: (i) => i,
  };
  const inputs: Record<string, HostArray> = {};
  for (const [name, { spec }] of step.plan.inputs) {
    const count = elementCount(spec.shape);
    const of = values[name]!;
    inputs[name] =
      spec.dtype === 'i32'
        ? Int32Array.from({ length: count }, (_, i) => of(i))
        : Float32Array.from({ length: count }, (_, i) => of(i));
  }
  return inputs;
}

/** The weights with what models add for the sampler: every token counts once. */
function withCounts(source: WeightSource): WeightSource {
  const vocabulary = source.tensors.get('emb.weight')!.shape[0]!;
  const name = 'sampler.counts';
  return {
    ...source,
    tensors: new Map([...source.tensors, [name, { dtype: 'f32', shape: [vocabulary] }]]),
    read: async (wanted, options) =>
      wanted === name
        ? new Uint8Array(new Float32Array(vocabulary).fill(1).buffer)
        : source.read(wanted, options),
  };
}

/** Flags of Dawn from the environment: `DAWN_FLAGS="backend=vulkan"`. */
export function dawnFlags(): readonly string[] {
  return process.env['DAWN_FLAGS']?.split(' ').filter((flag) => flag !== '') ?? [];
}

function indent(text: string): string {
  return text.replaceAll(/^/gm, '    ');
}
