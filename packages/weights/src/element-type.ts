import { dtypeName, type DType, type PackedDType } from '@rwkv-js/tensor';

/** An element type as weight files know it. */
export interface ElementType {
  /** As safetensors names it, or as ggml names formats of blocks: `BF16`, `Q4_K`. */
  readonly name: string;
  /** The dtype that its tensors are read in; undefined where they cannot be read. */
  readonly dtype: DType | undefined;
}

/** An element type whose elements all take the same space. */
export interface PlainElementType extends ElementType {
  readonly bits: number;
}

const make = (name: string, bits: number, dtype?: DType): PlainElementType => ({
  name,
  bits,
  dtype,
});

/** Every element type of safetensors 0.8; torch storages use a part of them. */
export const elementTypes: ReadonlyMap<string, PlainElementType> = new Map(
  [
    make('F32', 32, 'f32'),
    make('F16', 16, 'f16'),
    make('BF16', 16, 'bf16'),
    make('I32', 32, 'i32'),
    make('U32', 32, 'u32'),
    make('F64', 64),
    make('I64', 64),
    make('U64', 64),
    make('C64', 64),
    make('I16', 16),
    make('U16', 16),
    make('I8', 8),
    make('U8', 8),
    make('BOOL', 8),
    make('F8_E4M3', 8),
    make('F8_E5M2', 8),
    make('F8_E8M0', 8),
    make('F6_E2M3', 6),
    make('F6_E3M2', 6),
    make('F4', 4),
  ].map((type) => [type.name, type]),
);

/** The element type of tensors that are packed by this family. */
export function packedElementType(dtype: PackedDType): ElementType {
  return { name: dtypeName(dtype), dtype };
}

/** The element type of a name that is known to exist. */
export function elementType(name: string): PlainElementType {
  const type = elementTypes.get(name);
  if (!type) throw new Error(`no element type ${name}`);
  return type;
}

/**
 * Number of elements of a shape, or undefined when it is beyond what a number holds exactly. Sizes
 * must be whole and not negative.
 */
export function safeElementCount(shape: readonly number[]): number | undefined {
  if (shape.includes(0)) return 0;
  let count = 1;
  for (const size of shape) {
    count *= size;
    if (!Number.isSafeInteger(count)) return undefined;
  }
  return count;
}
