import { blockEncodings, blockFormats } from '@rwkv-js/weights';
import { formatTable, spread } from './table.ts';

/** Numbers in a round: a matrix of 4096 by 4096. */
const count = 4096 * 4096;

const rounds = 7;

/** How fast blocks of quantised weights become f32, and f32 blocks; in MB of f32 a second. */
export function benchBlocks(): void {
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(i));
  const rows = Array.from(blockFormats.values(), (format) => {
    const encoding = blockEncodings.find(({ name }) => name === format.name);
    // Small scales everywhere: what the bytes are does not matter to the time.
    const blocks = new Uint8Array((count / format.elements) * format.bytes).fill(0x11);
    const result = new Float32Array(count);
    const decode = speed(() => format.decode(blocks, result));
    return [
      format.name,
      ...decode,
      ...(encoding ? speed(() => encoding.encode(values, blocks)) : ['', '']),
    ];
  });
  const heading = ['MB of f32 a second', 'decode', 'least–most', 'encode', 'least–most'];
  console.log(formatTable(heading, rows));
}

/** Median, and least and most. */
function speed(work: () => void): [string, string] {
  const speeds = Array.from({ length: rounds }, () => {
    const start = performance.now();
    work();
    return (count * 4) / 1e3 / (performance.now() - start);
  });
  const { median, least, most } = spread(speeds);
  return [median.toFixed(0), `${least.toFixed(0)}–${most.toFixed(0)}`];
}
