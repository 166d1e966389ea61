import type { Grid } from './kernel.ts';

/** Marks WGSL in a template string, for editors; the text is as it stands. */
export function wgsl(parts: TemplateStringsArray, ...values: readonly (string | number)[]): string {
  return String.raw({ raw: parts }, ...values);
}

/** A number as an f32 literal. */
export function float(value: number): string {
  const rounded = Math.fround(value);
  const text = String(rounded);
  return `${/[.e]/.test(text) ? text : `${text}.0`}f`;
}

/** Most work groups along one axis that every adapter takes. */
const longestAxis = 65535;

/** A grid of at least `groups` work groups; {@link flatGroup} counts them. */
export function gridOf(groups: number): Grid {
  if (groups <= longestAxis) return [Math.max(1, groups), 1, 1];
  return [longestAxis, Math.ceil(groups / longestAxis), 1];
}

/** The place of the work group in a grid of {@link gridOf}. */
export const flatGroup = `(group.x + group.y * ${longestAxis}u)`;

/** The least power of two from `count`, between two bounds that are powers of two. */
export function powerOfTwo(count: number, least: number, most: number): number {
  let size = least;
  while (size < count && size < most) size *= 2;
  return size;
}
