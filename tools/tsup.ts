import { defineConfig } from 'tsup';

/**
 * How every package of the house is built: ES modules with their types and source maps in dist/.
 * The types of other packages are taken from what those have built, hence turbo builds them first.
 *
 * @param entry name in dist/ → source file
 */
export function build(entry: Record<string, string> = { index: 'src/index.ts' }) {
  return defineConfig({
    entry,
    format: 'esm',
    target: 'es2022',
    platform: 'neutral',
    // `node:` modules are imported at run time where they are needed, under their full names.
    external: [/^node:/],
    removeNodeProtocol: false,
    dts: true,
    sourcemap: true,
    clean: true,
  });
}
