/** True under Node and what behaves like it. */
export const runsOnNode = (): boolean => typeof process !== 'undefined' && !!process.versions?.node;

/** An environment variable, read when it is asked for; undefined in a page, and when it is empty. */
export function environment(name: string): string | undefined {
  return runsOnNode() ? process.env[name] || undefined : undefined;
}

/** Whether a variable is switched on, in the words that the hub's own tools take. */
export function isOn(name: string): boolean {
  return /^(1|on|yes|true)$/i.test(environment(name) ?? '');
}
