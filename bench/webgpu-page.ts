import { launchPage, softwareWebGpu } from '@rwkv-js/browser-testing/launch-page';
import { stories } from 'rwkv-js';
import { formatTable, spread } from './table.ts';

const formats = ['f16', 'q8', 'q4'] as const;

/**
 * Speed of the WebGPU device in headless Chromium with the storyteller: writing with one sequence, sampling
 * included, and reading a prompt, with the copy roof of the same adapter beside each line.
 *
 * @param adapter `card`: the machine's own; otherwise Chromium's software driver, which is slow and gets less to do
 */
export async function benchWebGpuPage(adapter = 'software'): Promise<void> {
  const isCard = adapter === 'card';
  const flags = isCard
    ? ['--enable-unsafe-webgpu', '--enable-features=Vulkan', '--use-angle=vulkan']
    : softwareWebGpu;
  const work = isCard
    ? { rounds: 5, tokens: 256, prompt: 512 }
    : { rounds: 1, tokens: 8, prompt: 16 };
  const page = await launchPage<typeof import('./webgpu-page-page.ts')>(
    new URL('./webgpu-page-page.ts', import.meta.url),
    { flags, files: { '/model.safetensors': stories.weights } },
  );
  const rows: string[][] = [];
  try {
    const { name: found, roof } = await page.call('adapter');
    console.log(`${found}, headless Chromium, ${work.rounds} rounds`);
    for (const format of formats) {
      const speed = await page.call('measure', '/model.safetensors', format, work);
      for (const [name, rates] of [
        ['one sequence', speed.writing],
        [`prompt of ${work.prompt}`, speed.reading],
      ] as const) {
        const { median, least, most } = spread(rates);
        const isWriting = rates === speed.writing;
        rows.push([
          `stories, 6.3M, ${format}, ${name}`,
          median.toFixed(1),
          `${least.toFixed(1)}–${most.toFixed(1)}`,
          (speed.bytes / 1e6).toFixed(1),
          (roof / 1e9).toFixed(2),
          isWriting ? `${((100 * median * speed.bytes) / roof).toFixed(1)} %` : '',
        ]);
      }
    }
  } finally {
    await page.close();
  }
  const heading = ['model', 'tokens/s', 'least–most', 'MB/step', 'copy roof, GB/s', 'of the roof'];
  console.log(formatTable(heading, rows));
}
