import { FormatError, UsageError, type WeightSource } from '@rwkv-js/tensor';
import type { WeightInput } from '../open-source.ts';
import { openWeights, type OpenedWeights } from '../open-weights.ts';
import type { Adapter, MatrixChanges, ReadHow } from './adapter.ts';
import { disha } from './disha.ts';
import { lora } from './lora.ts';
import { pissa } from './pissa.ts';

export interface AdapterOptions extends ReadHow {
  /** What a LoRA was trained with: its factors are multiplied by alpha / rank. */
  readonly alpha?: number | undefined;
  /** The start file of a PiSSA, which its training wrote first. */
  readonly init?: WeightInput | undefined;
}

/**
 * Opens a fine-tuning: LoRA, PiSSA or DiSHA, a tuned state, or whole tensors, and what of these lies
 * in one file. Only headers are read here.
 *
 * @param input as `openWeights` takes it, in any of its formats
 * @throws UsageError when a LoRA has no alpha, or alpha or init are given to what takes none;
 * FormatError when the file is no adapter.
 */
export async function openAdapter(
  input: WeightInput,
  options: AdapterOptions = {},
): Promise<Adapter> {
  const source = await openWeights(input, options);
  let init: OpenedWeights | undefined;
  try {
    if (options.init !== undefined) init = await openWeights(options.init, options);
    return makeAdapter(source, options.alpha, init);
  } catch (error) {
    await init?.close();
    await source.close();
    throw error;
  }
}

function makeAdapter(
  source: OpenedWeights,
  alpha: number | undefined,
  init: WeightSource | undefined,
): Adapter {
  const { label } = source;
  if (alpha !== undefined && !(Number.isFinite(alpha) && alpha > 0)) {
    throw new UsageError(`Adapter ${label}: alpha is ${alpha}; it must be a number above 0.`);
  }
  if (alpha !== undefined && init) {
    throw new UsageError(
      `Adapter ${label}: alpha and a start file were given; a PiSSA, which has a start, is not ` +
        `scaled: leave alpha out.`,
    );
  }
  refuseOthers(source);
  const lowRank = init ? pissa(source, init) : lora(source, alpha);
  const blocks = disha(source);
  const [states, tensors] = wholeTensors(source);
  const kinds = [
    ...(lowRank.size > 0 ? [init ? 'PiSSA' : 'LoRA'] : []),
    ...(blocks.size > 0 ? ['DiSHA'] : []),
    ...(states.length > 0 ? ['tuned state'] : []),
    ...(tensors.length > 0 ? ['whole tensors'] : []),
  ];
  if (lowRank.size === 0 && (alpha !== undefined || init)) {
    const given = init ? 'a start file' : 'alpha';
    throw new UsageError(
      `Adapter ${label}: ${given} was given, and it has no LoRA factors (it has ` +
        `${kinds.join(', ') || 'nothing'}); leave that out.`,
    );
  }
  const whole = [...states, ...tensors];
  return {
    label,
    kinds,
    matrices: joined(label, lowRank, blocks, whole),
    whole: {
      ...source,
      tensors: new Map([...source.tensors].filter(([name]) => whole.includes(name))),
    },
    async close() {
      await init?.close();
      await source.close();
    },
  };
}

/** Names of tuned states, and of whole tensors. */
function wholeTensors({ tensors }: WeightSource): readonly [states: string[], tensors: string[]] {
  const names = [...tensors.keys()].filter((name) => !/\.(lora_[AB]|disha)$/.test(name));
  const isState = (name: string): boolean => name.endsWith('.time_state');
  return [names.filter(isState), names.filter((name) => !isState(name))];
}

/** @throws FormatError for files that are no adapters. */
function refuseOthers({ tensors, unsupported, label }: OpenedWeights): void {
  const [name] = unsupported.keys();
  if (name !== undefined) {
    throw new FormatError(
      `Adapter ${label}: tensor '${name}' has elements of ${unsupported.get(name)?.elementType}, and ` +
        `adapters have floating ones; it is damaged or no adapter.`,
    );
  }
  if ([...tensors.keys()].some((tensor) => /\.init_lora_[AB]$/.test(tensor))) {
    throw new FormatError(
      `Adapter ${label}: it is the start file of a PiSSA; give the trained file as the adapter and ` +
        `this one as init.`,
    );
  }
  if (tensors.size === 0) throw new FormatError(`Adapter ${label}: it has no tensors.`);
}

function joined(
  label: string,
  lowRank: MatrixChanges,
  blocks: MatrixChanges,
  whole: readonly string[],
): MatrixChanges {
  const all = new Map([...lowRank, ...blocks]);
  const twice =
    [...blocks.keys()].find((name) => lowRank.has(name)) ?? whole.find((name) => all.has(name));
  if (twice === undefined) return all;
  throw new FormatError(
    `Adapter ${label}: it changes '${twice}' in two ways; only one can be meant.`,
  );
}
