import {
  isPacked,
  packedForm,
  type DType,
  type PackedDType,
  type TensorSpec,
} from '@rwkv-js/tensor';

/** A tensor as the text of a shader speaks of it. */
export class Argument {
  readonly spec: TensorSpec;
  /** The name of the array in the shader. */
  readonly name: string;
  /** Its WGSL type. */
  readonly type: string;

  constructor(spec: TensorSpec, name: string, type = elementType(spec.dtype)) {
    this.spec = spec;
    this.name = name;
    this.type = type;
  }

  /** The element at a row-major place, as a number: f32, or i32 of an integer tensor. */
  at(place: string): string {
    return isPlain(this.spec.dtype) ? `${this.name}[${place}]` : `${this.name}_at(${place})`;
  }

  /** The 32 bits at a place among the words of the tensor's memory. */
  word(place: string): string {
    return this.type === 'array<u32>'
      ? `${this.name}[${place}]`
      : `bitcast<u32>(${this.name}[${place}])`;
  }

  /** The functions behind {@link at}. */
  accessors(): string {
    const { dtype } = this.spec;
    if (isPlain(dtype) || this.type !== elementType(dtype)) return '';
    if (!isPacked(dtype)) {
      return `fn ${this.name}_at(i: u32) -> f32 { return ${halfOf(dtype as 'f16' | 'bf16', this.name, 'i')}; }\n`;
    }
    return packedAccessor(this.name, { dtype, shape: this.spec.shape });
  }
}

function isPlain(dtype: DType): boolean {
  return dtype === 'f32' || dtype === 'i32' || dtype === 'u32';
}

/** The array that a dtype is bound as: words of 32 bits, whatever lies in them. */
function elementType(dtype: DType): string {
  return `array<${isPlain(dtype) ? String(dtype) : 'u32'}>`;
}

function halfOf(dtype: 'f16' | 'bf16', words: string, place: string): string {
  const word = `${words}[${place} >> 1u]`;
  return dtype === 'f16'
    ? `unpack2x16float(${word})[${place} & 1u]`
    : `bitcast<f32>((${word} >> (16u * (${place} & 1u))) << 16u)`;
}

/** Any element of a packed tensor by its row-major place: for what is not worth a kernel of its own. */
function packedAccessor(name: string, spec: TensorSpec & { dtype: PackedDType }): string {
  const { dtype, shape } = spec;
  const { length, quantBytes } = packedForm(spec);
  const columns = shape.at(-1)!;
  const alongRows = dtype.axis === -1;
  const line = alongRows ? `i / ${length}u` : `i % ${columns}u`;
  const place = alongRows ? `i % ${length}u` : `i / ${columns}u`;
  const quant =
    dtype.bits === 8
      ? `let quant = extractBits(bitcast<i32>(${name}[p >> 2u]), 8u * (p & 3u), 8u);`
      : `let inside = p & 31u;
  let byte = (p >> 5u) * 16u + (inside & 15u);
  let quant = i32((${name}[byte >> 2u] >> (8u * (byte & 3u) + 4u * (inside >> 4u))) & 15u) - 8;`;
  const scaleWord = quantBytes / 4;
  const scale =
    dtype.scale === 'f32'
      ? `bitcast<f32>(${name}[${scaleWord}u + (p >> 5u)])`
      : `unpack2x16float(${name}[${scaleWord}u + (p >> 6u)])[(p >> 5u) & 1u]`;
  return `fn ${name}_at(i: u32) -> f32 {
  let p = (${line}) * ${length}u + ${place};
  ${quant}
  return f32(quant) * ${scale};
}
`;
}
