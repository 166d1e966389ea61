import { readConfig } from '@rwkv-js/language';
import { UsageError, type WeightEntry, type WeightSource } from '@rwkv-js/tensor';
import { channels, constant, type InitialRule } from './initial-rules.ts';
import { initialRules4 } from './initialize4.ts';
import { initialRules7 } from './initialize7.ts';
import { RandomNumbers } from './random.ts';

/** What initial weights depend on beside the tensors' names and shapes. */
export interface InitialWeightsOptions {
  /** The same seed gives the same weights. A whole number from 0 to 2³² − 1. */
  readonly seed: number;
  /** The learning rate that training begins with; the range of RWKV-4's embedding. */
  readonly rate: number;
}

/** Norms, in every version. */
const norms: readonly InitialRule[] = [
  [/\.ln_x\.weight$/, channels((_, { layer, layers }) => ((1 + layer) / layers) ** 0.7)],
  [/(^|\.)ln(0|1|2|_out)\.weight$/, constant(1)],
  [/(^|\.)ln(0|1|2|_out|_x)\.bias$/, constant(0)],
];

const versions: ReadonlyMap<string, readonly InitialRule[]> = new Map([
  ['4', [...norms, ...initialRules4]],
  ['7', [...norms, ...initialRules7]],
]);

/**
 * The official initial weights for tensors of these names and shapes, each made when it is read.
 * Specification: training, initialisation.
 *
 * @param tensors all f32, in official form, such as `rwkv7Entries` and `rwkv4Entries` give
 * @throws FormatError when they are not those of an RWKV model; UsageError for versions other than 4
 * and 7, for names that the version does not have, and for tensors that are not f32.
 */
export function initialWeights(
  tensors: ReadonlyMap<string, WeightEntry>,
  { seed, rate }: InitialWeightsOptions,
): WeightSource {
  const label = 'initial weights';
  if (!(Number.isInteger(seed) && seed >= 0 && seed < 2 ** 32)) {
    throw new UsageError(
      `${label} were asked for with the seed ${seed}; give a whole number from 0 to 4294967295`,
    );
  }
  const { version, layers, headSize } = readConfig({ label, tensors });
  const rules = versions.get(version);
  if (!rules) {
    throw new UsageError(
      `initial weights of an RWKV-${version} were asked for; they are known for RWKV-4 and RWKV-7`,
    );
  }
  const makers = new Map(
    [...tensors].map(([name, { dtype }]) => {
      const rule = rules.find(([names]) => names.test(name));
      if (rule && dtype === 'f32') return [name, rule[1]];
      throw new UsageError(
        rule
          ? `tensor '${name}' was to be initialised as ${dtype}; declare it f32, training needs that`
          : `tensor '${name}' was to be initialised, which RWKV-${version} does not have; leave it out`,
      );
    }),
  );
  const names = [...tensors.keys()];
  return {
    label,
    tensors,
    metadata: new Map(),
    async read(name) {
      const make = makers.get(name);
      if (!make) throw new UsageError(`${label} have no tensor '${name}'`);
      const layer = Number(/^blocks\.(\d+)\./.exec(name)?.[1] ?? 0);
      const { buffer } = make({
        shape: tensors.get(name)!.shape,
        layer,
        layers,
        rising: layer / Math.max(1, layers - 1),
        falling: 1 - layer / layers,
        headSize,
        rate,
        random: new RandomNumbers(seed, names.indexOf(name)),
      });
      return new Uint8Array(buffer);
    },
    close: async () => undefined,
  };
}
