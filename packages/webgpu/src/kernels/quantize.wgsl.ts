import { elementCount } from '@rwkv-js/tensor';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';

const threads = 64;

/**
 * Activations as 8-bit blocks of 32: x f32 → quants, then scales f32. A thread for each block, which it
 * reads once and writes as eight words and a scale.
 */
export const quantize: KernelMaker = ({ inputs }) => {
  const count = elementCount(inputs[0]!.shape);
  const blocks = count / 32;
  return {
    passes: [
      {
        grid: gridOf(Math.ceil(blocks / threads)),
        threads,
        source: ({ inputs: [x], outputs: [y] }) => ({
          main: wgsl`
  let block = ${flatGroup} * ${threads}u + thread;
  if (block >= ${blocks}u) { return; }
  var largest = 0.0;
  for (var i = 0u; i < 32u; i++) { largest = max(largest, abs(${x!.at('block * 32u + i')})); }
  // A quotient that is a number of the format comes out as that number, however the device divides.
  var scale = largest / 127.0;
  scale += fma(-scale, 127.0, largest) / 127.0;
  let inverse = select(1.0 / scale, 0.0, scale == 0.0);
  for (var w = 0u; w < 8u; w++) {
    var word = 0u;
    for (var i = 0u; i < 4u; i++) {
      let quant = i32(clamp(round(${x!.at('block * 32u + 4u * w + i')} * inverse), -127.0, 127.0));
      word |= (bitcast<u32>(quant) & 255u) << (8u * i);
    }
    ${y!.name}[block * 8u + w] = word;
  }
  ${y!.name}[${count / 4}u + block] = bitcast<u32>(scale);`,
        }),
      },
    ],
  };
};
