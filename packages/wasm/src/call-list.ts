/**
 * How a run's calls lie in memory, for all workers to read. For each call:
 *
 *     kernel, words of this call, barrier before it (0 or 1), where scalars begin or what a host call is about,
 *     addresses of its buffers, filled up to an even number, scalars as doubles
 *
 * `kernel` is a place in `kernelNames`, or one of `hostCall`. The list ends with `end`.
 */
export const hostCall = {
  /** Nothing comes after it. */
  end: -1,
  /** The first worker runs an operation's reference loops. */
  reference: -2,
  /** The first worker fills outputs with what nobody would compute, and looks at them afterwards. */
  poison: -3,
  check: -4,
} as const;

/** Words of a call before its buffers. */
export const headerWords = 4;

/** One call on its way into a list. */
export interface ListedCall {
  readonly kernel: number;
  readonly barrier: boolean;
  /** Of host calls: the place of what they are about among the program's operations. */
  readonly host?: number;
  readonly addresses: readonly number[];
  readonly scalars: readonly number[];
}

/** The words of a list, which must lie at a multiple of 8 bytes. */
export function encodeCalls(calls: readonly ListedCall[]): Int32Array<ArrayBuffer> {
  const scalarsAt = ({ addresses }: ListedCall): number =>
    headerWords + addresses.length + (addresses.length % 2);
  const sizeOf = (call: ListedCall): number => scalarsAt(call) + 2 * call.scalars.length;
  const words = new Int32Array(calls.reduce((sum, call) => sum + sizeOf(call), 2));
  const view = new DataView(words.buffer);
  let at = 0;
  for (const call of calls) {
    const place = call.host ?? scalarsAt(call);
    words.set([call.kernel, sizeOf(call), call.barrier ? 1 : 0, place, ...call.addresses], at);
    call.scalars.forEach((scalar, i) =>
      view.setFloat64(4 * (at + scalarsAt(call)) + 8 * i, scalar, true),
    );
    at += sizeOf(call);
  }
  words[at] = hostCall.end;
  return words;
}
