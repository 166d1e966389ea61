/** Names that may be called: REDUCE and NEWOBJ on them give a record, or a dictionary. */
const callable = new Set([
  'collections.OrderedDict',
  'torch._utils._rebuild_tensor',
  'torch._utils._rebuild_tensor_v2',
  'torch._utils._rebuild_parameter',
  'torch._utils._rebuild_parameter_with_state',
  'torch.Size',
  'torch.device',
  'torch.serialization._get_layout',
]);

/** Names that may only be mentioned. */
const inert = new Set([
  ...['Float', 'Double', 'Half', 'BFloat16', 'Long', 'Int', 'Short', 'Char', 'Byte', 'Bool'].map(
    (element) => `torch.${element}Storage`,
  ),
  'torch.storage.UntypedStorage',
  'torch.storage.TypedStorage',
  ...['float64', 'float32', 'float16', 'bfloat16', 'int64', 'int32', 'int16', 'int8', 'uint8'].map(
    (dtype) => `torch.${dtype}`,
  ),
  ...['double', 'float', 'half', 'long', 'int', 'short', 'bool'].map((dtype) => `torch.${dtype}`),
]);

/** True for the globals that weight files legitimately mention; everything else is refused. */
export const isAllowedGlobal = (name: string): boolean => callable.has(name) || inert.has(name);

/** True for those of them that a pickle may ask to be called. */
export const isCallableGlobal = (name: string): boolean => callable.has(name);
