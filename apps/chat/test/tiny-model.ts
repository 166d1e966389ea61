import { specificationWeights } from '@rwkv-js/testing';
import { encodeSafetensors } from 'rwkv-js';

/** An RWKV-7 of 12 tokens, as a file. */
export async function tinyModel(): Promise<Uint8Array> {
  const source = specificationWeights('7');
  const tensors = Array.from(source.tensors, async ([name, entry]) => {
    return { name, ...entry, data: await source.read(name) };
  });
  return encodeSafetensors(await Promise.all(tensors));
}

/** A vocabulary of letters, for models of so many tokens. */
export function letters(tokens: number): string {
  return Array.from({ length: tokens - 1 }, (_, at) => {
    const letter = String.fromCharCode(at < 26 ? 97 + at : 0x100 + at);
    return `${at + 1} '${letter}' ${at < 26 ? 1 : 2}\n`;
  }).join('');
}
