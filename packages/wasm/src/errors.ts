import { DeviceError } from '@rwkv-js/tensor';

/** There is no room for something: what would have it is named. */
export function outOfMemory(
  byteLength: number,
  label: string,
  taken: number,
  cause?: unknown,
): DeviceError {
  const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
  return new DeviceError(
    `device wasm has no ${megabytes(byteLength)} for '${label}': it holds ${megabytes(taken)}` +
      (cause === undefined
        ? ' of the 4096 MiB that it can address; use a model in a smaller dtype, or a device without ' +
          "that bound: 'cpu' (slow), or one of a GPU"
        : ' and this machine gives it no more; close other programs, or use a smaller model'),
    { cause },
  );
}
