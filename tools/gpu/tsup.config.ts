import { defineConfig } from 'tsup';

/** One file of the script and all that it imports but Dawn, which README.md says how to bring. */
export default defineConfig({
  entry: { main: 'tools/gpu/main.ts' },
  outDir: 'tools/gpu/dist',
  format: 'esm',
  target: 'node20',
  platform: 'node',
  splitting: false,
  noExternal: [/^@rwkv-js\//],
  external: ['webgpu', 'vitest'],
  esbuildOptions(options) {
    options.conditions = ['development'];
  },
});
