import {
  declared,
  gradients,
  isFloating,
  UsageError,
  type HostArray,
  type Program,
} from '@rwkv-js/tensor';
import { block7 } from './block7.ts';
import { tolerances, type ConformanceCase } from './case.ts';
import { conformanceCases } from './cases.ts';
import { RandomTensors } from './random-tensor.ts';
import { programOf } from './run-case.ts';

/** A case with the way back through it: of all that it gives, to all that something flows back to. */
export interface GradientCase {
  /** The case; gradients are sums, so its tolerance is that of sums at least. */
  readonly one: ConformanceCase;
  readonly program: Program;
  /** How much a loss changes with each output and new state: `cotangent.<name>`. */
  readonly cotangents: Readonly<Record<string, HostArray>>;
  /** Tensors with a gradient, by their place in the case. */
  readonly wrt: readonly number[];
}

/** Tensors of a case together: the larger ones take time and show no more of a gradient. */
const mostElements = 12_000;

/**
 * The gradients that every device must compute as the oracle does: those of all small cases in f32. Made
 * when asked for, as recording them takes a moment.
 */
export function gradientCases(): readonly GradientCase[] {
  return [...conformanceCases, block7].flatMap((one) => gradientCaseOf(one) ?? []);
}

/** The way back through a case; undefined where an operation has none, and for other weights than f32. */
export function gradientCaseOf(one: ConformanceCase): GradientCase | undefined {
  const tensors = one.tensors.map(({ tensor }) => tensor);
  const elements = tensors.reduce((sum, { data }) => sum + data.length, 0);
  const isPlain = tensors.every(({ dtype }) => dtype === 'f32' || dtype === 'i32');
  if (!isPlain || elements > mostElements) return undefined;

  const program = programOf(one);
  const isReal = (id: number): boolean => isFloating(program.values[id]!.spec.dtype);
  const of = [...program.outputs].flatMap(([name, id]) => (isReal(id) ? [name] : []));
  const ofStates = [...program.states].flatMap(([name, { update }]) =>
    update !== undefined && isReal(update) ? [name] : [],
  );
  if (of.length + ofStates.length === 0) return undefined;
  const wrt = tensors.flatMap(({ dtype }, i) =>
    dtype === 'f32' && flowsBack(program, { of, ofStates, wrt: [`tensor${i}`] }) ? [i] : [],
  );
  if (wrt.length === 0) return undefined;

  const backward = gradients(program, { of, ofStates, wrt: wrt.map((i) => `tensor${i}`) });
  const random = new RandomTensors(23);
  const cotangents = [...declared(backward, 'input')].flatMap(([name, { shape }]) =>
    name.startsWith('cotangent.') ? [[name, random.floats(shape).data] as const] : [],
  );
  return {
    one: {
      ...one,
      tolerance: tolerances[one.tolerance] > tolerances.sums ? one.tolerance : 'sums',
    },
    program: backward,
    cotangents: Object.fromEntries(cotangents),
    wrt,
  };
}

/** Whether a gradient comes back to what `wrt` names, and all operations on the way have one. */
function flowsBack(program: Program, options: Parameters<typeof gradients>[1]): boolean {
  try {
    gradients(program, options);
    return true;
  } catch (error) {
    if (error instanceof UsageError) return false;
    throw error;
  }
}
