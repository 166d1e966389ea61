import {
  allocateStates,
  declared,
  loadParameters,
  plan,
  UsageError,
  type Device,
  type DeviceTensor,
  type Program,
  type Shape,
  type States,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { adaptedProgram, factorNames } from './adapted-program.ts';
import { Checkpoints } from './checkpoints.ts';
import type { ModelConfig } from './config.ts';
import { fingerprintOf } from './fingerprint.ts';
import type { RuntimeParts } from './runtime.ts';
import { SharedParameters } from './shared-parameters.ts';
import { StepPrograms } from './step-programs.ts';
import { readTunedState } from './tuned-state.ts';

interface ReadHow {
  readonly signal?: AbortSignal | undefined;
}

/** What an adapter does to a model, as `openAdapter` of the weights package gives it. */
export interface ModelAdapter {
  readonly label: string;
  /** Changes by the official name of the matrix [out, in]. */
  readonly matrices: ReadonlyMap<
    string,
    {
      /** Which matrix it is for, when it does not fit this one. */
      misfit(shape: Shape): string | undefined;
      /** The change as up · down; undefined where it is no such product. */
      readonly lowRank:
        | {
            readonly rank: number;
            /** down [rank, in], up [out, rank]. */
            factors(
              shape: Shape,
              how: ReadHow,
            ): Promise<{ readonly down: Float32Array; readonly up: Float32Array }>;
          }
        | undefined;
    }
  >;
  /** Tensors that stand in the place of the model's own, and tuned states. */
  readonly whole: WeightSource;
}

/** What a model keeps so that variants can share what it has on the device. */
export interface VariantBase {
  readonly label: string;
  readonly device: Device;
  readonly config: ModelConfig;
  readonly entries: ReadonlyMap<string, WeightEntry>;
  readonly shared: SharedParameters;
  readonly change: (program: Program) => Program;
  /** How many adapters are in it. */
  readonly adapters: number;
}

/** A variant's parts, and what variants of it share. */
export interface Variant {
  readonly parts: RuntimeParts;
  readonly base: VariantBase;
}

/**
 * A model with an adapter beside its matrices, which both read where they lie on the device. Only what
 * the adapter adds or replaces is loaded.
 *
 * @throws UsageError when the adapter is for another model, or cannot be kept apart from the weights.
 */
export async function makeVariant(
  base: VariantBase,
  parts: RuntimeParts,
  adapter: ModelAdapter,
  { signal }: ReadHow,
): Promise<Variant> {
  const { device, config, label } = base;
  const ranks = checkedRanks(base, adapter);
  const index = base.adapters + 1;
  const change = (program: Program): Program => adaptedProgram(base.change(program), ranks, index);
  const source = variantSource(base, adapter, ranks, index);
  const programs = new StepPrograms(
    config,
    { tensors: base.entries },
    parts.slots,
    device.kernels,
    change,
  );
  const program = programs.program(1, 1);
  const held = base.shared.hold();
  try {
    const all = programs.forLoading();
    const loaded = await loadParameters(device, all, source, {
      shared: untouched(all, device, held.tensors, adapter, label),
      signal,
    });
    const parameters = {
      ...loaded,
      dispose(): void {
        loaded.dispose();
        held.dispose();
      },
    };
    let states: States | undefined;
    try {
      const tuned = await readTunedState(adapter.whole, config, { signal });
      const { whole } = adapter;
      const hasNorm = [...whole.tensors.keys()].some((name) => name.startsWith('ln_out.'));
      const fingerprint = hasNorm
        ? await fingerprintOf(whole, config, { signal })
        : parts.fingerprint;
      states = allocateStates(device, [program]);
      const many = device.kernels.stepsPerReadback > 1;
      const checkpoints = many ? new Checkpoints(device, states) : undefined;
      return {
        parts: {
          ...parts,
          programs,
          parameters,
          states,
          checkpoints,
          fingerprint,
          initialState: tuned.size > 0 ? tuned : parts.initialState,
        },
        base: {
          ...base,
          label: `${label} with ${adapter.label}`,
          // The adapter's own tensors by their names; those it replaces keep the dtypes that programs know.
          entries: new Map([...source.tensors, ...base.entries]),
          shared: new SharedParameters(parameters),
          change,
          adapters: index,
        },
      };
    } catch (error) {
      states?.dispose();
      loaded.dispose();
      throw error;
    }
  } catch (error) {
    held.dispose();
    throw error;
  }
}

function checkedRanks(
  { entries, label }: VariantBase,
  adapter: ModelAdapter,
): ReadonlyMap<string, number> {
  const ranks = new Map<string, number>();
  const where = `adapter ${adapter.label} on ${label}`;
  const entryOf = (name: string): WeightEntry => {
    const entry = entries.get(name);
    if (entry) return entry;
    throw new UsageError(
      `${where}: it changes '${name}', which the model does not have; it is for another model`,
    );
  };
  for (const [name, { misfit, lowRank }] of adapter.matrices) {
    const { shape } = entryOf(name);
    const wanted = shape.length === 2 ? misfit(shape) : 'a matrix';
    if (wanted !== undefined) {
      throw new UsageError(
        `${where}: '${name}' is [${shape.join(', ')}] in the model, and the adapter is for ${wanted}; ` +
          'it was trained on a model of other sizes',
      );
    }
    if (!lowRank) {
      throw new UsageError(
        `${where}: what it does to '${name}' depends on the weights and cannot be kept apart from them; ` +
          'merge it when the model is loaded',
      );
    }
    ranks.set(name, lowRank.rank);
  }
  for (const name of adapter.whole.tensors.keys()) {
    if (!name.endsWith('.time_state')) entryOf(name);
  }
  return ranks;
}

/** The names of the base with the adapter's factors and tensors, of which only the adapter's are read. */
function variantSource(
  { entries, label }: VariantBase,
  { matrices, whole, label: adapterLabel }: ModelAdapter,
  ranks: ReadonlyMap<string, number>,
  index: number,
): WeightSource {
  const factors = new Map<string, (how: ReadHow) => Promise<Float32Array>>();
  const tensors = new Map<string, WeightEntry>([...entries, ...whole.tensors]);
  for (const [name, rank] of ranks) {
    const { shape } = entries.get(name)!;
    const [out, width] = shape as readonly [number, number];
    const names = factorNames(name, index);
    const both = (how: ReadHow): Promise<{ down: Float32Array; up: Float32Array }> =>
      matrices.get(name)!.lowRank!.factors(shape, how);
    factors.set(names.down, async (how) => (await both(how)).down);
    factors.set(names.up, async (how) => (await both(how)).up);
    tensors.set(names.down, { dtype: 'f32', shape: [rank, width] });
    tensors.set(names.up, { dtype: 'f32', shape: [out, rank] });
  }
  return {
    label: `${label} with ${adapterLabel}`,
    metadata: whole.metadata,
    tensors,
    async read(name, how = {}) {
      const factor = factors.get(name);
      if (!factor) return whole.read(name, how);
      const data = await factor(how);
      return new Uint8Array(data.buffer as ArrayBuffer, data.byteOffset, data.byteLength);
    },
    close: async () => undefined,
  };
}

/** The base's parameters that the adapter leaves as they are. */
function untouched(
  programs: readonly Program[],
  device: Device,
  tensors: ReadonlyMap<string, DeviceTensor>,
  { whole, label: adapterLabel }: ModelAdapter,
  label: string,
): ReadonlyMap<string, DeviceTensor> {
  const plans = programs.map((program) => plan(program, device.kernels));
  const names = new Map(
    plans.flatMap(({ parameters, derived }) =>
      [...parameters.keys()].map((name) => [name, derived.get(name)] as const),
    ),
  );
  const kept = new Map<string, DeviceTensor>();
  for (const [name, made] of names) {
    const from = made ? [...declared(made, 'parameter').keys()] : [name];
    const replaced = from.filter((one) => whole.tensors.has(one));
    const tensor = tensors.get(name);
    if (replaced.length === 0 && tensor) kept.set(name, tensor);
    if (replaced.length === 0 || replaced.length === from.length) continue;
    throw new UsageError(
      `adapter ${adapterLabel} on ${label}: it replaces '${replaced[0]}', which the device has joined ` +
        'with other tensors; merge it when the model is loaded',
    );
  }
  return kept;
}
