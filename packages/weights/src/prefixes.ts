/** What wrappers (DeepSpeed, Lightning, DataParallel, a parent module) put before every name. */
const prefixes = ['_forward_module.', 'model.', 'module.'];

/**
 * The names without the wrappers' prefixes. A prefix goes only when every name carries it, again
 * and again until none is left. specs: reading version and sizes from names.
 */
export function stripPrefixes<T>(tensors: ReadonlyMap<string, T>): ReadonlyMap<string, T> {
  let length = 0;
  for (;;) {
    const prefix = prefixes.find((p) => everyNameHas(tensors, p, length));
    if (prefix === undefined) break;
    length += prefix.length;
  }
  if (length === 0) return tensors;
  return new Map(Array.from(tensors, ([name, tensor]) => [name.slice(length), tensor]));
}

/** True when all names carry the prefix at `at` and are more than it. */
function everyNameHas(tensors: ReadonlyMap<string, unknown>, prefix: string, at: number): boolean {
  for (const name of tensors.keys()) {
    if (!name.startsWith(prefix, at) || name.length <= at + prefix.length) return false;
  }
  return tensors.size > 0;
}
