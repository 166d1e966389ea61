import * as core from '@rwkv-js/core';
import { accumulate, assign, type OpDefinition } from '@rwkv-js/tensor';

/**
 * The operations that have reference loops, by name: what this device has no kernel for runs in them, on
 * its first worker, and so do shapes and dtypes that its kernels do not take. All of core's are here, as
 * workers know only what is bundled with them; any other operation is not run.
 */
export const referenceOperations: ReadonlyMap<string, OpDefinition> = new Map(
  [accumulate, assign, ...Object.values(core)].flatMap((exported: unknown) => {
    const definition = definitionOf(exported);
    return definition?.reference && !definition.view ? [[definition.name, definition]] : [];
  }),
);

/** The definition of an operation; undefined for whatever else core exports. */
function definitionOf(exported: unknown): OpDefinition | undefined {
  return typeof exported === 'function' && 'definition' in exported
    ? (exported.definition as OpDefinition)
    : undefined;
}
