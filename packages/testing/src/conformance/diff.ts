import type { Device, DeviceTensor, HostArray, Program, RunInputs } from '@rwkv-js/tensor';

/** Where two devices part. */
export interface Difference {
  /** The operation's place in the program, its name and its source line. */
  readonly operation: number;
  readonly name: string;
  readonly line: string;
  /** Which of its outputs, which element, and what each device has there. */
  readonly output: number;
  readonly element: number;
  readonly values: readonly [a: number, b: number];
}

/** Tensors of a program on one device. */
export interface Bindings {
  readonly device: Device;
  readonly parameters?: ReadonlyMap<string, DeviceTensor>;
  readonly states?: ReadonlyMap<string, DeviceTensor>;
}

/**
 * Runs a program on two devices and names the first value, in the program's order, in which they are
 * farther apart than `tolerance` (relative to the larger of 1 and the magnitude). Every operation's
 * outputs are read, so it is slow; states are updated on both.
 *
 * @returns undefined when they agree in every value
 */
export async function diff(
  program: Program,
  inputs: RunInputs,
  a: Bindings,
  b: Bindings,
  tolerance = 1e-4,
): Promise<Difference | undefined> {
  // What is an output keeps its memory to the end of the run.
  const outputs = new Map<string, number>();
  const updated = new Set([...program.states.values()].map(({ update }) => update));
  program.operations.forEach((operation, at) => {
    if (operation.definition.view || onlyParameters(program, operation.inputs)) return;
    operation.outputs.forEach((id, i) => {
      if (!updated.has(id)) outputs.set(`${at} ${i}`, id);
    });
  });
  const watched: Program = { ...program, outputs };
  const run = async ({ device, ...tensors }: Bindings): Promise<Record<string, HostArray>> => {
    const executable = await device.compile(watched, tensors);
    try {
      executable.run(inputs);
      return await executable.read(...outputs.keys());
    } finally {
      executable.dispose();
    }
  };
  const [first, second] = [await run(a), await run(b)];
  for (const key of outputs.keys()) {
    const [x, y] = [first[key]!, second[key]!];
    const element = x.findIndex((value: number, i: number) => {
      const other = y[i]!;
      if (Object.is(value, other)) return false;
      return !(Math.abs(value - other) <= tolerance * Math.max(1, Math.abs(other)));
    });
    if (element < 0) continue;
    const [operation, output] = key.split(' ').map(Number) as [number, number];
    const { definition, line } = program.operations[operation]!;
    const values = [x[element]!, y[element]!] as const;
    return { operation, name: definition.name, line, output, element, values };
  }
  return undefined;
}

function onlyParameters(program: Program, inputs: readonly number[]): boolean {
  return inputs.every((id) => program.values[id]!.kind === 'parameter');
}
