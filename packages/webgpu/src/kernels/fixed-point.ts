import { isPacked, type TensorSpec } from '@rwkv-js/tensor';
import { loadQuads, loadType } from './matrix.ts';
import { wgsl } from '../wgsl.ts';

/**
 * Packed weights times f32 numbers in whole numbers, which takes a third of the instructions that
 * unpacking takes.
 *
 * The numbers of x that meet one load of a weight become fixed-point numbers of 16 bits with a scale of
 * their own, so each is off by at most 1/65278 of the largest of them: less than f16 would lose on it.
 * They lie as two numbers of 8 bits, 256 h + l, in words of four, which `dot4I8Packed` multiplies with
 * the quants as they lie in memory.
 */
export function takesFixedPoint(weight: TensorSpec): boolean {
  return isPacked(weight.dtype) && loadType(weight) === 'array<vec4<u32>>';
}

/** The largest fixed-point number: 127 · 256 + 127. */
const largest = 32639;

/**
 * Statements that declare `hN, lN` and `fixed_scale` of the vectors `xN` that meet a load of a weight, all
 * with a prefix to N. A number that is none makes the scale none.
 */
export function toFixedPoint(weight: TensorSpec, prefix: string): string {
  const { bits } = weight.dtype as { bits: 4 | 8 };
  const names = Array.from({ length: loadQuads(weight) }, (_, i) => `${prefix}${i}`);
  // Quants of 4 bits are multiplied as the upper half of a byte, so sixteen times too large.
  const unit = bits === 4 ? 16 * largest : largest;
  return wgsl`// Bits of numbers without their sign are ordered as the numbers are, those of NaN last.
    ${names.map((n) => `let a${n} = bitcast<vec4u>(x${n}) & vec4u(0x7fffffffu);`).join(' ')}
    let most${prefix} = ${names.slice(1).reduce((all, n) => `max(${all}, a${n})`, `a${names[0]}`)};
    let most_of${prefix} = bitcast<f32>(max(max(most${prefix}.x, most${prefix}.y), max(most${prefix}.z, most${prefix}.w)));
    let fixed_scale${prefix} = most_of${prefix} / ${unit}.0;
    let unscale${prefix} = select(${largest}.0 / most_of${prefix}, 0.0, most_of${prefix} < 1e-30);
    // Added to 1.5 · 2²³ a number is rounded to a whole one, which are its lowest bits.
    ${names
      .map(
        (
          n,
        ) => wgsl`let f${n} = bitcast<vec4u>(x${n} * unscale${prefix} + 12582912.0); let g${n} = f${n} + 128u;
    let l${n} = (f${n}.x & 0xffu) | ((f${n}.y & 0xffu) << 8u) | ((f${n}.z & 0xffu) << 16u) | (f${n}.w << 24u);
    let h${n} = ((g${n}.x >> 8u) & 0xffu) | (g${n}.y & 0xff00u) | ((g${n}.z & 0xff00u) << 8u) | ((g${n}.w & 0xff00u) << 16u);`,
      )
      .join('\n    ')}`;
}

/** Statements that add a load's product with the fixed-point numbers of a prefix to a sum. */
export function addFixedPoint(
  weight: TensorSpec,
  { of, sum, loaded, scale }: { of: string; sum: string; loaded: string; scale: string },
): string {
  const { bits } = weight.dtype as { bits: 4 | 8 };
  const quads = Array.from({ length: loadQuads(weight) }, (_, i) => i);
  const quants = (i: number): string =>
    bits === 8 ? `${loaded}[${i}]` : `${loaded}_${i < 4 ? 'low' : 'high'}[${i % 4}]`;
  const product = (half: string): string =>
    quads.map((i) => `dot4I8Packed(${quants(i)}, ${half}${of}${i})`).join(' + ');
  const halves =
    bits === 8
      ? ''
      : // A quant of 4 bits is its number plus 8: with its upper bit turned, a signed number.
        `let ${loaded}_turned = ${loaded} ^ vec4u(0x88888888u);
      let ${loaded}_low = (${loaded}_turned << vec4u(4u)) & vec4u(0xf0f0f0f0u);
      let ${loaded}_high = ${loaded}_turned & vec4u(0xf0f0f0f0u);
      `;
  return `${halves}${sum} += f32(256 * (${product('h')}) + ${product('l')}) * (fixed_scale${of} * ${scale});`;
}
