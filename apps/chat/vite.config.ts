import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { defineConfig, type Plugin } from 'vite';

/** The headers that give the page several threads; it works without them, on one. */
const isolation = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
  'Cross-Origin-Resource-Policy': 'same-origin',
};

export default defineConfig(({ command }) => ({
  // Any path of any server.
  base: './',
  define: { isBuilt: command === 'build' },
  plugins: [listForServiceWorker()],
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  // The packages of this repository, from their sources.
  resolve: { conditions: ['development', 'module', 'browser'] },
  build: {
    target: 'es2022',
    sourcemap: true,
    rolldownOptions: {
      input: { index: here('index.html'), 'service-worker': here('src/service-worker.ts') },
      output: {
        // A service worker governs the folder that it is in, and its address stays.
        entryFileNames: ({ name }) =>
          name === 'service-worker' ? '[name].js' : 'assets/[name]-[hash].js',
      },
    },
  },
  worker: {
    format: 'es',
    // Ways of Node's, which no page goes.
    rolldownOptions: { external: [/^node:/] },
  },
  server: { headers: isolation },
  preview: { headers: isolation },
}));

/**
 * Tells the service worker the files of the page and a version of them all. Weights are kept elsewhere, and
 * maps are for developers.
 */
function listForServiceWorker(): Plugin {
  return {
    name: 'list-for-service-worker',
    apply: 'build',
    // When the page itself is there.
    enforce: 'post',
    generateBundle(_, bundle) {
      const worker = bundle['service-worker.js'];
      if (worker?.type !== 'chunk') throw new Error('the build made no service worker');
      const built = Object.keys(bundle).filter((file) => !/^service-worker|\.map$/.test(file));
      const files = [...built, ...readdirSync(here('public'))].filter(
        (file) => !/\.safetensors$|vocab.*\.txt$/.test(file),
      );
      const version = createHash('sha256');
      for (const file of files.sort()) {
        const made = bundle[file];
        version.update(file).update(made ? (made.type === 'chunk' ? made.code : made.source) : '');
      }
      worker.code =
        `const pageFiles = ${JSON.stringify(files)};\n` +
        `const pageVersion = ${JSON.stringify(version.digest('hex').slice(0, 16))};\n` +
        worker.code;
    },
  };
}

function here(path: string): string {
  return fileURLToPath(new URL(path, import.meta.url));
}
