import { byteLength, elementCount, plainLaunch, type KernelTable } from '@rwkv-js/tensor';

/**
 * The reference device's table: every operation by its reference loops, every parameter row-major.
 *
 * @param precision what f32 values are kept in; f64 is for checking others
 */
export function cpuKernels(precision: 'f32' | 'f64'): KernelTable {
  return {
    name: 'cpu',
    memory: {
      arena: true,
      alignment: 8,
      largestBinding: 2 ** 32,
      bindings: Infinity,
      byteLength: (spec) =>
        spec.dtype === 'f32' && precision === 'f64'
          ? 8 * elementCount(spec.shape)
          : byteLength(spec),
    },
    // A chunk of 64 keeps the weights' rows in use for long enough, and lets go of the thread often.
    tokenBuckets: [1, 4, 16, 64],
    activations: 'q8',
    // Nothing is gained by waiting less often for work that is done within `run`.
    stepsPerReadback: 1,
    launch: (operation) => (operation.definition.reference ? plainLaunch(operation) : undefined),
    parameterLayout: () => 'row-major',
  };
}
