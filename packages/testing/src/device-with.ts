import type { Device, Executable, KernelTable } from '@rwkv-js/tensor';

/** What is to be different about a device. */
export interface DeviceChanges {
  readonly kernels?: Partial<KernelTable>;
  /** Members that stand in for those of each executable. */
  readonly executable?: (own: Executable) => Partial<Executable>;
  /** Stands in for reading a tensor. */
  readonly read?: (own: Device['read']) => Device['read'];
}

/** A device with some of its parts changed: one that counts, fails, or reads back once in a while. */
export function deviceWith(inner: Device, changes: DeviceChanges): Device {
  const kernels = { ...inner.kernels, ...changes.kernels };
  const ownRead: Device['read'] = (tensor, range) => inner.read(tensor, range);
  const replaced: Partial<Device> = {
    kernels,
    read: changes.read?.(ownRead) ?? ownRead,
    compile: async (program, options) => {
      const own = await inner.compile(program, options);
      return {
        plan: own.plan,
        run: (inputs) => own.run(inputs),
        read: (...names) => own.read(...names),
        dispose: () => own.dispose(),
        ...changes.executable?.(own),
      };
    },
  };
  return new Proxy(inner, {
    get(target, property) {
      const own: unknown = Reflect.get(
        Object.hasOwn(replaced, property) ? replaced : target,
        property,
      );
      return typeof own === 'function' ? (own.bind(target) as unknown) : own;
    },
  });
}
