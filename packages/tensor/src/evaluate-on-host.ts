import { hostArray, isPacked, type HostArray } from './dtype.ts';
import type { HostTensor } from './op.ts';
import type { Program } from './program.ts';
import { byteLength, elementCount, type TensorSpec } from './spec.ts';

/** True where every operation has loops of its own: all but composites that a device runs whole. */
export function runsOnHost({ operations }: Program): boolean {
  return operations.every(({ definition }) => definition.view || definition.reference);
}

/**
 * Runs a program of parameters by the reference loops of its operations and gives its output `value`: for what is
 * computed once, at load, of more than a device can see at once.
 *
 * @param parameters elements by name
 */
export function evaluateOnHost(
  program: Program,
  parameters: ReadonlyMap<string, HostArray>,
): HostArray {
  const tensors = new Map<number, HostTensor>();
  program.values.forEach(({ kind, name, spec }, id) => {
    if (kind === 'parameter') tensors.set(id, { ...spec, data: parameters.get(name!)! });
  });
  for (const { definition, attributes, inputs, outputs } of program.operations) {
    const given = inputs.map((id) => tensors.get(id)!);
    const made = outputs.map((id): HostTensor => {
      const { spec } = program.values[id]!;
      return { ...spec, data: definition.view ? given[0]!.data : elementsFor(spec) };
    });
    if (!definition.view) definition.reference!({ inputs: given, outputs: made, attributes });
    outputs.forEach((id, i) => tensors.set(id, made[i]!));
  }
  return tensors.get(program.outputs.get('value')!)!.data;
}

function elementsFor(spec: TensorSpec): HostArray {
  const { dtype, shape } = spec;
  return isPacked(dtype) ? new Uint8Array(byteLength(spec)) : hostArray(dtype, elementCount(shape));
}
