import type { LanguageModel, SessionState } from '@rwkv-js/language';
import { FormatError, UsageError, viewBytes } from '@rwkv-js/tensor';
import {
  encodeSafetensors,
  openWeights,
  type OpenedWeights,
  type WeightInput,
} from '@rwkv-js/weights';

/** Of the file format; a reader takes its own and refuses others. */
const version = '1';

/** Keys of the file's metadata. */
const keys = {
  version: 'rwkv_state_version',
  kind: 'rwkv_state_kind',
  fingerprint: 'rwkv_state_fingerprint',
  tokenCount: 'rwkv_state_token_count',
  pending: 'rwkv_state_pending',
} as const;

/**
 * A session's state as a safetensors file, which any device and any machine reads: the tensors of
 * `SessionState` by their names and `logits`, f32, row-major; version, sizes and fingerprint of the
 * model, token count and pending token in the metadata.
 */
export function encodeState(state: SessionState): Uint8Array {
  const { kind, fingerprint, tokenCount, pending, logits } = state;
  const all = [...state.tensors, ...(logits ? [['logits', logits] as const] : [])];
  const metadata = new Map<string, string>([
    [keys.version, version],
    [keys.kind, kind],
    [keys.tokenCount, String(tokenCount)],
  ]);
  if (fingerprint !== undefined) metadata.set(keys.fingerprint, fingerprint);
  if (pending !== undefined) metadata.set(keys.pending, String(pending));
  return encodeSafetensors(
    all.map(([name, data]) => ({ name, dtype: 'f32', shape: [data.length], data })),
    metadata,
  );
}

/**
 * Reads a state that `encodeState` wrote; `model.session({ state })` and `session.restore` take it.
 *
 * @param options.model the model that it is for: a state that was made with other sizes or other
 * weights is refused
 * @throws FormatError when the file is no such state, or a damaged one; UsageError when there is none,
 * or it is another model's.
 */
export async function readState(
  input: WeightInput,
  options: {
    readonly model?: LanguageModel | undefined;
    readonly signal?: AbortSignal | undefined;
  } = {},
): Promise<SessionState> {
  const source = await openWeights(input, { signal: options.signal });
  try {
    const state = await parseState(source, options.signal);
    if (options.model) checkModel(state, options.model, source.label);
    return state;
  } finally {
    await source.close();
  }
}

async function parseState(
  source: OpenedWeights,
  signal: AbortSignal | undefined,
): Promise<SessionState> {
  const { metadata, label } = source;
  const found = metadata.get(keys.version);
  if (found !== version) {
    throw new FormatError(
      found === undefined
        ? `${label} is no saved state; give a file that encodeState wrote`
        : `${label} is a saved state of version ${JSON.stringify(found.slice(0, 20))}, and this ` +
            `library reads version ${version}; save it again, or update the library`,
    );
  }
  const tensors = new Map<string, Float32Array>();
  for (const [name, { dtype }] of source.tensors) {
    const data = viewBytes(dtype, await source.read(name, { signal }));
    if (!(data instanceof Float32Array)) throw damaged(label, `'${name}' is ${dtype} and not f32`);
    tensors.set(name, data);
  }
  const logits = tensors.get('logits');
  tensors.delete('logits');
  const pending = metadata.get(keys.pending);
  const fingerprint = metadata.get(keys.fingerprint);
  return {
    kind: metadata.get(keys.kind) ?? '',
    tokenCount: count(metadata.get(keys.tokenCount), keys.tokenCount, label),
    tensors,
    ...(fingerprint === undefined ? {} : { fingerprint }),
    ...(pending === undefined ? {} : { pending: count(pending, keys.pending, label) }),
    ...(logits ? { logits } : {}),
  };
}

function count(text: string | undefined, key: string, label: string): number {
  const value = Number(text);
  if (text !== undefined && /^\d+$/.test(text) && Number.isSafeInteger(value)) return value;
  throw damaged(label, `its ${key} is ${JSON.stringify(text?.slice(0, 20) ?? null)}`);
}

function damaged(label: string, what: string): FormatError {
  return new FormatError(`the saved state ${label} is damaged: ${what}; save it again`);
}

function checkModel(state: SessionState, model: LanguageModel, label: string): void {
  if (state.kind !== model.stateKind) {
    throw new UsageError(
      `the saved state ${label} is of ${JSON.stringify(state.kind.slice(0, 100))} and was given to ` +
        `${model.stateKind}; a state continues on the model it was saved from`,
    );
  }
  if (state.fingerprint === undefined || state.fingerprint === model.fingerprint) return;
  throw new UsageError(
    `the saved state ${label} was made with other weights of the same sizes (fingerprint ` +
      `${JSON.stringify(state.fingerprint.slice(0, 16))}, the model's is ${model.fingerprint}); ` +
      'load the model that it was saved from, or read it without naming a model to try all the same',
  );
}
