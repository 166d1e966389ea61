import type { ModelConfig } from 'rwkv-js';

/** 12,612,608 */
export function formatInteger(n: number): string {
  return n.toLocaleString('en-US');
}

/** 6.3M, of parameters. */
export function formatCount(n: number): string {
  if (n < 1e3) return String(n);
  const [unit, size] = n < 1e6 ? ['K', 1e3] : n < 1e9 ? ['M', 1e6] : ['B', 1e9];
  return `${short(n / size)}${unit}`;
}

/** 12.6 MB (12,612,608 bytes) */
export function formatBytes(n: number): string {
  if (n < 1e3) return `${n} bytes`;
  const [unit, size] = n < 1e6 ? ['kB', 1e3] : n < 1e9 ? ['MB', 1e6] : ['GB', 1e9];
  return `${short(n / size)} ${unit} (${formatInteger(n)} bytes)`;
}

const short = (n: number): string => n.toFixed(n < 100 ? 1 : 0);

/** Names from a file as they may be shown on a terminal: without characters that steer it. */
export function printable(text: string): string {
  return text.replace(/\p{C}/gu, (c) => `\\u{${c.codePointAt(0)!.toString(16)}}`);
}

/** Lines of columns; those in `right` are set to the right. */
export function formatTable(
  rows: readonly (readonly string[])[],
  right: readonly number[] = [],
): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, at) => (widths[at] = Math.max(widths[at] ?? 0, cell.length)));
  }
  const lines = rows.map((row) =>
    row
      .map((cell, at) =>
        right.includes(at) ? cell.padStart(widths[at]!) : cell.padEnd(widths[at]!),
      )
      .join('  ')
      .trimEnd(),
  );
  return `${lines.join('\n')}\n`;
}

/** RWKV-7, 6 layers, width 256, … */
export function formatSizes(model: ModelConfig): string {
  const { version, layers, width, heads, headSize, feedForwardWidth, vocabularySize } = model;
  const parts = [`RWKV-${version}`, `${layers} layers`, `width ${width}`];
  if (heads > 0) parts.push(`${heads} heads of ${headSize}`);
  parts.push(`channel mix ${feedForwardWidth}`, `vocabulary ${formatInteger(vocabularySize)}`);
  return parts.join(', ');
}
