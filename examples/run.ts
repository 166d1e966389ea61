/** Runs an example: `npm run example -- NAME …`. What it prints and takes is the example's business. */
import { existsSync, readdirSync } from 'node:fs';

const names = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter(
    (entry) => entry.isDirectory() && existsSync(new URL(`${entry.name}/main.ts`, import.meta.url)),
  )
  .map(({ name }) => name);
const name = process.argv[2] ?? '';
if (names.includes(name)) {
  const { main } = (await import(`./${name}/main.ts`)) as {
    main: (args: string[]) => Promise<number>;
  };
  process.exitCode = await main(process.argv.slice(3));
} else {
  console.error(`usage: npm run example -- NAME, with NAME one of: ${names.join(', ')}`);
  process.exitCode = 2;
}
