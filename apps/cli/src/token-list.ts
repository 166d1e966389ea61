import { FormatError, UsageError } from 'rwkv-js';
import { print, type Output } from './io.ts';
import type { ReadFile } from './read-file.ts';

/** Token ids as they are written and read: a JSON array of whole numbers from 0 on. */
export function parseTokens({ bytes, label }: ReadFile): readonly number[] {
  const expected = `a JSON array of token ids such as [0, 33155, 37] was expected`;
  let list: unknown;
  try {
    list = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw new FormatError(`reading ${label}: it is not JSON; ${expected}`, { cause });
  }
  if (!Array.isArray(list)) {
    throw new FormatError(`reading ${label}: it is JSON, but no array; ${expected}`);
  }
  const place = list.findIndex((token) => !Number.isSafeInteger(token) || token < 0);
  if (place < 0) return list;
  const found = JSON.stringify(list[place]).slice(0, 40);
  throw new FormatError(
    `reading ${label}: element ${place} is ${found}; token ids are whole numbers from 0 on`,
  );
}

/** @throws UsageError for an id that a model with that many tokens does not have. */
export function checkTokens(
  tokens: readonly number[],
  vocabularySize: number,
  label: string,
): void {
  const place = tokens.findIndex((token) => token >= vocabularySize);
  if (place < 0) return;
  throw new UsageError(
    `reading ${label}: element ${place} is ${tokens[place]}; the model's token ids go from 0 to ` +
      `${vocabularySize - 1}; was the text encoded with this model's vocabulary?`,
  );
}

const tokensPerWrite = 65_536;

/** Prints ids as one line of JSON, however many there are. */
export async function printTokens(output: Output, tokens: Uint32Array): Promise<void> {
  await print(output, '[');
  for (let at = 0; at < tokens.length; at += tokensPerWrite) {
    const some = tokens.subarray(at, at + tokensPerWrite).join(',');
    await print(output, at === 0 ? some : `,${some}`);
  }
  await print(output, ']\n');
}
