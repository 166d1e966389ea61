import { linear, sampleSettings, square, sumTo } from '@rwkv-js/core';
import {
  accumulate,
  allocateStates,
  f32,
  loadParameters,
  lower,
  plainLaunch,
  rewrite,
  UsageError,
  type Device,
  type KernelTable,
  type Program,
  type WeightSource,
} from '@rwkv-js/tensor';
import { readConfig, type ConfigOptions } from './config.ts';
import { occurrenceCounts } from './occurrence-counts.ts';
import { recordStep } from './frame.ts';
import { withTensors } from './with-tensors.ts';

/** Tokens that are read at once; a rest of the text shorter than that is left out. */
const chunk = 64;

export interface CalibrationOptions extends ConfigOptions {
  readonly device: Device;
  readonly progress?: ((progress: { tokens: number; totalTokens: number }) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a model's matrices are multiplied with, over a text. */
export interface ActivationStatistics {
  /** Tokens that were read. */
  readonly tokens: number;
  /** Mean square of every input channel of a matrix [out, in], by the matrix's name: f32 [in]. */
  readonly meanSquares: ReadonlyMap<string, Float32Array>;
}

/**
 * Reads a text and measures what each matrix of the model is multiplied with. `packedWeights` can weigh
 * its rounding errors by it.
 *
 * @throws UsageError for a text of less than 64 tokens; otherwise as loading a model does.
 */
export async function calibrate(
  source: WeightSource,
  tokens: readonly number[],
  options: CalibrationOptions,
): Promise<ActivationStatistics> {
  const { device, signal } = options;
  const chunks = Math.floor(tokens.length / chunk);
  if (chunks === 0) {
    throw new UsageError(
      `the text has ${tokens.length} tokens, and measuring activations takes ${chunk} at least; ` +
        'give a longer text, of the kind that the model is to write',
    );
  }
  const config = readConfig(source, options);
  const { vocabularySize } = config;
  const complete = withTensors(source, {
    'sampler.counts': occurrenceCounts(vocabularySize, undefined),
  });
  const dtypes = new Map([...source.tensors].map(([name, { dtype }]) => [name, dtype]));
  const step = withSums(
    recordStep(config, dtypes, { tokens: chunk, slots: 1, rows: chunk }),
    device.kernels,
  );
  const parameters = await loadParameters(device, [step], complete, { signal });
  const states = allocateStates(device, [step]);
  try {
    const executable = await device.compile(step, {
      parameters: parameters.tensors,
      states: states.tensors,
    });
    const none = new Int32Array(chunk).fill(-1);
    for (let at = 0; at < chunks; at++) {
      signal?.throwIfAborted();
      executable.run({
        tokens: Int32Array.from(tokens.slice(at * chunk, (at + 1) * chunk)),
        offsets: Int32Array.of(0, chunk),
        logitRows: Int32Array.from(none, (_, row) => row),
        sampleSlots: none,
        targets: none,
        settings: new Float32Array(sampleSettings.length),
        random: new Int32Array(2),
      });
      await executable.read('logProbabilities');
      options.progress?.({ tokens: (at + 1) * chunk, totalTokens: chunks * chunk });
    }
    executable.dispose();
    const meanSquares = new Map<string, Float32Array>();
    for (const [name, tensor] of states.tensors) {
      if (!name.startsWith(prefix)) continue;
      const sums = Float32Array.from(await device.read(tensor));
      meanSquares.set(
        name.slice(prefix.length),
        sums.map((sum) => sum / (chunks * chunk)),
      );
    }
    return { tokens: chunks * chunk, meanSquares };
  } finally {
    states.dispose();
    parameters.dispose();
  }
}

const prefix = 'squares.';

/** The step with a state for every matrix, to which each run adds the squares of what it is multiplied with. */
function withSums(step: Program, table: KernelTable): Program {
  const smallest = lower(step, {
    ...table,
    launch: (operation) => (operation.definition.reference ? plainLaunch(operation) : undefined),
  });
  const known = new Set<string>();
  return rewrite(smallest, (operation, [x, weight]) => {
    const { kind, name } = smallest.values[operation.inputs[1] ?? operation.inputs[0]!]!;
    if (operation.definition !== linear.definition || kind !== 'parameter') return undefined;
    if (known.has(name!)) return undefined;
    known.add(name!);
    const channels = weight!.shape[1]!;
    const sums = x!.recorder.state(`${prefix}${name}`, f32(channels));
    const squares = sumTo(square(x!), { shape: [channels] });
    x!.recorder.update(sums, accumulate([sums, squares]));
    return undefined;
  });
}
