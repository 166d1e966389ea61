import { fitsDType } from './convert.ts';
import type { CompileOptions, DeviceTensor, RunInputs } from './device.ts';
import { isPacked } from './dtype.ts';
import { UsageError } from './errors.ts';
import type { Plan, PlanSlot } from './plan.ts';
import { byteLength, elementCount, formatSpec, sameSpec } from './spec.ts';

/**
 * Finds the tensors that a plan's parameters and states stand for, by the place of their buffer. Every
 * device compiles against them in this way.
 *
 * @param device the device's name in messages
 * @param owns whether a tensor is one of the device's, and not disposed
 * @throws UsageError for a tensor that is missing, another device's, or of another spec or layout.
 */
export function bindTensors<T extends DeviceTensor>(
  device: string,
  plan: Plan,
  { parameters, states }: CompileOptions,
  owns: (tensor: DeviceTensor) => tensor is T,
): Map<number, T> {
  const bound = new Map<number, T>();
  const bind = (
    kind: 'parameter' | 'state',
    slots: ReadonlyMap<string, PlanSlot & { readonly layout?: string }>,
    given: ReadonlyMap<string, DeviceTensor> | undefined,
  ): void => {
    for (const [name, { spec, use, layout = 'row-major' }] of slots) {
      const tensor = given?.get(name);
      if (!tensor || !owns(tensor)) {
        const other = tensor?.disposed ? 'one that was disposed' : 'a tensor of another device';
        throw new UsageError(
          `program ${plan.program.name} needs ${kind} '${name}' ${formatSpec(spec)} on device ` +
            `${device} and was given ${tensor ? other : 'none'}; ` +
            `${kind === 'parameter' ? 'loadParameters' : 'allocateStates'} makes it`,
        );
      }
      if (!sameSpec(tensor.spec, spec) || tensor.layout !== layout) {
        throw new UsageError(
          `program ${plan.program.name} needs ${kind} '${name}' as ${formatSpec(spec)} ${layout} and ` +
            `was given ${formatSpec(tensor.spec)} ${tensor.layout}; load it for this program`,
        );
      }
      bound.set(use.buffer, tensor);
    }
  };
  bind('parameter', plan.parameters, parameters);
  bind('state', plan.states, states);
  return bound;
}

/**
 * Checks what a run is given, before anything is queued.
 *
 * @throws UsageError when an input is missing, unknown, of the wrong length or of another dtype.
 */
export function checkRunInputs({ inputs, program }: Plan, given: RunInputs): void {
  for (const [name, { spec }] of inputs) {
    const elements = given[name];
    const length = isPacked(spec.dtype) ? byteLength(spec) : elementCount(spec.shape);
    if (elements?.length === length && fitsDType(elements, spec.dtype)) continue;
    const found = elements
      ? `${elements.length} elements of ${elements.constructor.name}`
      : 'nothing';
    throw new UsageError(
      `input '${name}' of program ${program.name} was given ${found}; it takes ${formatSpec(spec)}`,
    );
  }
  for (const name of Object.keys(given)) {
    if (inputs.has(name)) continue;
    throw new UsageError(
      `program ${program.name} has no input '${name}'; ` +
        `it takes ${[...inputs.keys()].join(', ') || 'none'}`,
    );
  }
}
