import { headerWords, hostCall } from '../call-list.ts';
import type { Kernels } from './module.ts';

/**
 * Runs a list of calls; every worker does, at the same time. Returns when all have come to its end.
 *
 * @param words the memory in words
 * @param list the word that the list begins at
 * @param host runs what is no kernel; the first worker has it alone
 */
export function runList(
  { kernels, barrier }: Kernels,
  words: Int32Array,
  list: number,
  host?: (kind: number, place: number) => void,
): void {
  let at = list;
  for (let kernel = words[at]!; kernel !== hostCall.end; kernel = words[at]!) {
    if (words[at + 2] === 1) barrier();
    const place = words[at + 3]!;
    if (kernel < 0) host?.(kernel, place);
    else kernels[kernel]!(4 * (at + headerWords), 4 * (at + place));
    at += words[at + 1]!;
  }
  barrier();
}
