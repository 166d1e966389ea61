import { setElements } from './convert.ts';
import type { Device, DeviceTensor } from './device.ts';
import { isPacked, hostArray, type HostArray } from './dtype.ts';
import { UsageError } from './errors.ts';
import { declared, type Program } from './program.ts';
import { elementCount, formatSpec, sameSpec, type TensorSpec } from './spec.ts';

/** The states of a model's programs on a device. */
export interface States {
  readonly tensors: ReadonlyMap<string, DeviceTensor>;
  /** Bytes they take on the device, all slots together. */
  readonly byteLength: number;
  /** Gives them back. Idempotent. */
  dispose(): void;
}

/**
 * Allocates the states that `programs` declare, filled with their first values. Programs that name
 * the same state share it.
 *
 * @param options.except states that are there already, by name; they are left alone
 * @throws UsageError when two programs declare one state differently; DeviceError without memory.
 */
export function allocateStates(
  device: Device,
  programs: readonly Program[],
  { except }: { readonly except?: ReadonlyMap<string, DeviceTensor> } = {},
): States {
  const wanted = new Map<string, { spec: TensorSpec; fill: number }>();
  for (const program of programs) {
    for (const [name, spec] of declared(program, 'state')) {
      if (except?.has(name)) continue;
      const fill = program.states.get(name)!.fill;
      const known = wanted.get(name);
      if (known && !(sameSpec(known.spec, spec) && known.fill === fill)) {
        throw new UsageError(
          `state '${name}' is ${formatSpec(known.spec)} filled with ${known.fill} in one program and ` +
            `${formatSpec(spec)} filled with ${fill} in program ${program.name}; declare it alike`,
        );
      }
      wanted.set(name, { spec, fill });
    }
  }
  const tensors = new Map<string, DeviceTensor>();
  const dispose = (): void => {
    for (const tensor of tensors.values()) tensor.dispose();
  };
  let bytes = 0;
  try {
    for (const [name, { spec, fill }] of wanted) {
      const tensor = device.allocate(spec, { label: name });
      tensors.set(name, tensor);
      device.write(tensor, filled(spec, fill));
      bytes += device.kernels.memory.byteLength(spec);
    }
  } catch (error) {
    dispose();
    throw error;
  }
  return { tensors, byteLength: bytes, dispose };
}

/**
 * Elements of a tensor that are all the same number, on the host.
 *
 * @throws UsageError for packed dtypes.
 */
export function filled(spec: TensorSpec, fill: number): HostArray {
  if (isPacked(spec.dtype)) {
    throw new UsageError(`a state of packed dtype ${spec.dtype.name} cannot be allocated; use f32`);
  }
  const one = hostArray(spec.dtype, 1);
  setElements(one, spec.dtype, [fill]);
  return hostArray(spec.dtype, elementCount(spec.shape)).fill(one[0]!);
}
