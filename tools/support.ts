/**
 * Writes docs/support.md: which operations each device has kernels for.
 *
 *   npm run support
 */
import { writeFileSync } from 'node:fs';
import { cpuKernels } from '@rwkv-js/core';
import { idealKernels } from '@rwkv-js/tensor';
import { wasmKernels } from '@rwkv-js/wasm';
import { formatSupport } from '@rwkv-js/testing';
import { webGpuKernels } from '@rwkv-js/webgpu';
import { format } from 'prettier';
import { commonAdapter } from '../packages/webgpu/test/common-adapter.ts';

/** The page, from the tables as they are. A new device gets its table here. */
export async function supportPage(): Promise<string> {
  const text = `# What devices run

For each operation, with the dtypes of its parameters: \`kernel\` where the device runs it whole, \`lowered\` where
it runs the smaller operations that a composite is made of, \`loops\` where it runs the plain loops of the
reference device, \`missing\` where it cannot. \`ideal\` stands for a
device that has everything; programs are counted with it. Made by \`npm run support\`.

${formatSupport([cpuKernels('f32'), wasmKernels, webGpuKernels(commonAdapter), idealKernels])}
`;
  return format(text, { parser: 'markdown', printWidth: 100 });
}

export const supportPath = new URL('../docs/support.md', import.meta.url);

if (process.argv[1] === import.meta.filename) {
  writeFileSync(supportPath, await supportPage());
}
