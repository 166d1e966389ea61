const benchmarks: Readonly<Record<string, () => Promise<unknown>>> = {
  blocks: async () => (await import('./blocks.ts')).benchBlocks(),
  cpu: async () => (await import('./cpu.ts')).benchCpu(process.argv[3] ?? ''),
  'cpu-page': async () => (await import('./cpu-page.ts')).benchCpuPage(process.argv[3] ?? ''),
  download: async () => (await import('./download.ts')).benchDownload(),
  load: async () => (await import('./load.ts')).benchLoad(),
  packing: async () => (await import('./packing.ts')).benchPacking(),
  reference: async () => (await import('./reference.ts')).benchReference(),
  peers: async () => (await import('./peers.ts')).installPeers(),
  tokenizer: () => import('./tokenizer.ts'),
  'webgpu-page': async () => (await import('./webgpu-page.ts')).benchWebGpuPage(process.argv[3]),
  webgpu: async () => (await import('./webgpu.ts')).benchWebGpu(process.argv[3]),
  zeros: async () => (await import('./zeros.ts')).benchZeros(),
};

const name = process.argv[2] ?? '';
const benchmark = Object.hasOwn(benchmarks, name) ? benchmarks[name] : undefined;
if (benchmark) {
  await benchmark();
} else {
  const names = Object.keys(benchmarks).join(', ');
  console.error(`usage: npm run bench -- NAME, with NAME one of: ${names}`);
  process.exitCode = 2;
}
