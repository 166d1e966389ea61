import { blockFormats } from './blocks/block-formats.ts';
import type { BlockFormat } from './blocks/block-format.ts';
import { elementTypes, type ElementType, type PlainElementType } from './element-type.ts';

/** Those that take the numbers in turn, from the first on. */
const from = (first: number, ...names: readonly string[]): [number, string][] =>
  names.map((name, i) => [first + i, name]);

/** What the numbers of ggml's types stand for, those of removed types left out. specs/rwkv.md §4.7.1 */
const names: ReadonlyMap<number, string> = new Map([
  ...from(0, 'F32', 'F16', 'Q4_0', 'Q4_1'),
  ...from(6, 'Q5_0', 'Q5_1', 'Q8_0', 'Q8_1', 'Q2_K', 'Q3_K', 'Q4_K', 'Q5_K', 'Q6_K', 'Q8_K'),
  ...from(16, 'IQ2_XXS', 'IQ2_XS', 'IQ3_XXS', 'IQ1_S', 'IQ4_NL', 'IQ3_S', 'IQ2_S', 'IQ4_XS'),
  ...from(24, 'I8', 'I16', 'I32', 'I64', 'F64', 'IQ1_M', 'BF16'),
  ...from(34, 'TQ1_0', 'TQ2_0'),
  ...from(39, 'MXFP4', 'NVFP4', 'Q1_0'),
]);

/** A type of ggml. */
export type GgufType =
  | { readonly kind: 'plain'; readonly type: PlainElementType }
  | { readonly kind: 'blocks'; readonly format: BlockFormat }
  /** Known by name only: it is listed and cannot be read. */
  | { readonly kind: 'other'; readonly type: ElementType };

/** The type of a number; undefined where ggml has none (any more). */
export function ggufType(number: number): GgufType | undefined {
  const name = names.get(number);
  if (name === undefined) return undefined;
  const format = blockFormats.get(name);
  if (format) return { kind: 'blocks', format };
  const type = elementTypes.get(name);
  return type ? { kind: 'plain', type } : { kind: 'other', type: { name, dtype: undefined } };
}
