/** What the test of this package calls in a page. */

export function add(a: number, b: number): number {
  return a + b;
}

export async function fail(message: string): Promise<never> {
  throw new RangeError(message);
}

/** The first line of a file that is served beside the module. */
export async function firstLine(): Promise<string> {
  const response = await fetch(new URL('../data/file.txt', import.meta.url));
  return (await response.text()).split('\n')[0]!;
}

export function abilities(): { readonly isolated: boolean; readonly shared: boolean } {
  return { isolated: crossOriginIsolated, shared: typeof SharedArrayBuffer === 'function' };
}

let calls = 0;
/** How often it was called since the page was loaded. */
export function count(): number {
  console.log(`call ${++calls}`);
  return calls;
}
