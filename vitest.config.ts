import { defineConfig } from 'vitest/config';
import { generate } from './packages/wasm/build/generate.mjs';

// What is made of sources is as they are, also when the tests are not started by npm.
await generate();

export default defineConfig({
  test: {
    projects: ['packages/*', 'apps/*', 'bench', 'examples', 'scripts', 'tools'],
  },
});
