import {
  allocateStates,
  isPacked,
  loadParameters,
  record,
  unpack,
  type Device,
  type HostArray,
  type Program,
  type WeightEntry,
  type WeightSource,
} from '@rwkv-js/tensor';
import { tolerances, type ConformanceCase } from './case.ts';

/** What a device gave for a case: outputs and states by name. */
export type CaseResult = ReadonlyMap<string, HostArray>;

/**
 * Records a case as a program. Outputs of the case are `output{i}`, tensors `tensor{i}`; outputs that
 * are the new values of states are not outputs of the program.
 */
export function programOf(one: ConformanceCase): Program {
  return record(`${one.op}: ${one.name}`, (recorder) => {
    const values = one.tensors.map(({ role, tensor }, i) => recorder[role](`tensor${i}`, tensor));
    const results = one.build(...values);
    const isState = new Set<number>();
    for (const [output, at] of one.updates) {
      const place = output < 0 ? results.length + output : output;
      recorder.update(values[at]!, results[place]!);
      isState.add(place);
    }
    return Object.fromEntries(
      results.flatMap((value, i) => (isState.has(i) ? [] : [[`output${i}`, value]])),
    );
  });
}

/** A case on a device, to be run as often as you like. */
export interface PreparedCase {
  /** Runs it from the case's tensors as they are now, outputs poisoned before, and reads what it gave. */
  run(): Promise<CaseResult>;
  dispose(): void;
}

/**
 * Compiles a case for a device.
 *
 * @param program the case's own, or one made from it, which takes the case's tensors
 * @param more what `program` takes besides
 */
export async function prepareCase(
  device: Device,
  one: ConformanceCase,
  program: Program = programOf(one),
  more: Readonly<Record<string, HostArray>> = {},
): Promise<PreparedCase> {
  const states = allocateStates(device, [program]);
  const parameters = await loadParameters(device, [program], parametersOf(one));
  const executable = await device.compile(program, {
    parameters: parameters.tensors,
    states: states.tensors,
    debug: true,
  });
  return {
    async run() {
      const inputs: Record<string, HostArray> = { ...more };
      one.tensors.forEach(({ role, tensor }, i) => {
        if (role === 'input') inputs[`tensor${i}`] = tensor.data;
        if (role === 'state') device.write(states.tensors.get(`tensor${i}`)!, tensor.data);
      });
      executable.run(inputs);
      const result = new Map<string, HostArray>();
      for (const name of program.outputs.keys()) {
        result.set(name, (await executable.read(name))[name]!);
      }
      for (const [name, state] of states.tensors) result.set(name, await device.read(state));
      return result;
    },
    dispose() {
      executable.dispose();
      parameters.dispose();
      states.dispose();
    },
  };
}

/** Runs a case, or a program made from it, once; see {@link prepareCase}. */
export async function runCase(...args: Parameters<typeof prepareCase>): Promise<CaseResult> {
  const prepared = await prepareCase(...args);
  const result = await prepared.run();
  prepared.dispose();
  return result;
}

/** The parameters of a case as a source to load from. */
function parametersOf(one: ConformanceCase): WeightSource {
  const tensors = new Map<string, WeightEntry>();
  one.tensors.forEach(({ role, tensor: { dtype, shape } }, i) => {
    if (role === 'parameter') tensors.set(`tensor${i}`, { dtype, shape });
  });
  return {
    label: `${one.op}: ${one.name}`,
    tensors,
    metadata: new Map(),
    async read(name) {
      const { data } = one.tensors[Number(name.slice('tensor'.length))]!.tensor;
      const copy = data.slice();
      return new Uint8Array(copy.buffer, copy.byteOffset, copy.byteLength);
    },
    close: async () => undefined,
  };
}

/** What an output stands for: packed ones as the numbers they mean. */
function numbers(program: Program, name: string, data?: HostArray): HostArray | undefined {
  const output = program.outputs.get(name);
  const spec = output === undefined ? undefined : program.values[output]!.spec;
  if (!data || !spec || !isPacked(spec.dtype)) return data;
  return unpack({ dtype: spec.dtype, shape: spec.shape }, data as Uint8Array);
}

/** The first element in which a device's result is farther from the oracle's than it may be. */
export function firstDifference(
  one: ConformanceCase,
  found: CaseResult,
  oracle: CaseResult,
): string | undefined {
  const allowed = tolerances[one.tolerance];
  const program = programOf(one);
  for (const [name, expectedData] of oracle) {
    const expected = numbers(program, name, expectedData)!;
    const values = numbers(program, name, found.get(name));
    if (values?.length !== expected.length) {
      return `${name} has ${values?.length ?? 'no'} elements; the oracle gives ${expected.length}`;
    }
    for (let i = 0; i < expected.length; i++) {
      const [a, b] = [values[i]!, expected[i]!];
      // NaN equals only NaN.
      if (Object.is(a, b) || a === b) continue;
      const integer = expected instanceof Int32Array;
      const difference = Math.abs(a - b) / Math.max(1, Math.abs(b));
      // What the oracle keeps in doubles rounds to f32 before it is compared for equality.
      if (!integer && (difference <= allowed || a === Math.fround(b))) continue;
      return `${name}[${i}] is ${a}; the oracle gives ${b} (${one.tolerance}: ${allowed})`;
    }
  }
  return undefined;
}
