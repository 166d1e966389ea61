import { FormatError } from '@rwkv-js/tensor';
import type { StoredTensor } from '../container.ts';
import { quote } from '../quote.ts';
import type { FileContents } from './layout.ts';
import { part, transformed, type Transform } from './transforms.ts';

/**
 * One line of a layout's table of names: a name of the layout, the official one, and what makes its
 * elements official.
 *
 * `{i}` in both names is the number of the block. `{a,b}` in both stands for a line with the first
 * alternatives, one with the second and so on. `[a,b]` in the official name alone says that the tensor
 * holds several as its rows, in this order. A line without an official name drops what the model does not read.
 */
export type NameLine = readonly [
  from: string,
  to: string | undefined,
  transform?: Transform | undefined,
];

/**
 * The tensors under official names. Those that no line names stay as they are.
 *
 * @param layout its name, for errors
 * @throws FormatError for shapes that the table's transforms do not take, or two tensors for one name.
 */
export function renamed(
  { tensors, label }: Pick<FileContents, 'tensors' | 'label'>,
  table: readonly NameLine[],
  layout: string,
): ReadonlyMap<string, StoredTensor> {
  const lines = table.flatMap(alternatives).map(compile);
  const result = new Map<string, StoredTensor>();
  const where = `Reading ${label} as ${layout}`;
  const put = (from: string, name: string, tensor: StoredTensor): void => {
    if (result.has(name)) {
      throw new FormatError(
        `${where}: a second tensor, ${quote(from)}, is the official ${quote(name)}; ` +
          `the file mixes two layouts or is damaged.`,
      );
    }
    result.set(name, tensor);
  };
  for (const [from, tensor] of tensors) {
    const found = match(lines, from);
    if (!found) {
      put(from, from, tensor);
      continue;
    }
    const change = (transform: Transform | undefined, before: StoredTensor): StoredTensor => {
      if (!transform) return before;
      const after = transformed(before, transform);
      if (after) return after;
      throw new FormatError(
        `${where}: tensor ${quote(from)} has the shape [${before.shape.join(', ')}], and the layout ` +
          `has ${transform.takes} there; the file is damaged or of another model family.`,
      );
    };
    const whole = change(found.transform, tensor);
    found.names.forEach((name, row) => {
      const rows = found.names.length;
      put(from, name, rows === 1 ? whole : change(part(row, rows), whole));
    });
  }
  return result;
}

interface CompiledLine {
  readonly pattern: RegExp;
  /** Official names with `{i}` for the block. */
  readonly names: readonly string[];
  readonly transform: Transform | undefined;
}

function match(lines: readonly CompiledLine[], name: string) {
  for (const { pattern, names, transform } of lines) {
    const found = pattern.exec(name);
    const block = found?.[1] ?? '';
    if (found) return { names: names.map((to) => to.replace('{i}', block)), transform };
  }
  return undefined;
}

/** The lines that one with `{a,b}` stands for. */
function alternatives([from, to, transform]: NameLine): NameLine[] {
  const choice = /\{([^{}]*,[^{}]*)\}/;
  const of = (name: string): string[] | undefined => choice.exec(name)?.[1].split(',');
  const [froms, tos] = [of(from), to === undefined ? undefined : of(to)];
  if (!froms) return [[from, to, transform]];
  return froms.flatMap((one, i) =>
    alternatives([
      from.replace(choice, () => one),
      tos ? to?.replace(choice, () => tos[i]) : to,
      transform,
    ]),
  );
}

function compile([from, to, transform]: NameLine): CompiledLine {
  const pattern = from
    .split('{i}')
    .map((text) => text.replace(/[.[\]\\]/g, '\\$&'))
    .join('(\\d+)');
  const rows = to === undefined ? undefined : /\[([^\]]*)\]/.exec(to);
  const names = rows
    ? rows[1].split(',').map((one) => to!.replace(rows[0], one))
    : to === undefined
      ? []
      : [to];
  return { pattern: new RegExp(`^${pattern}$`), names, transform };
}

/**
 * Refuses a file without a tensor of this name, for layouts that always have one and models that can do
 * without: the layer norm of the embedding, which official files may come without when it is folded.
 *
 * @throws FormatError when it is not there.
 */
export function checkHas({ tensors, label }: FileContents, name: string, layout: string): void {
  if (tensors.has(name)) return;
  throw new FormatError(
    `Reading ${label} as ${layout}: it has no tensor ${quote(name)}, which every model in this layout ` +
      `has; the file is incomplete.`,
  );
}

/** The tensors without a prefix that some of the names carry. */
export function withoutPrefix<T>(
  tensors: ReadonlyMap<string, T>,
  prefix: RegExp,
): ReadonlyMap<string, T> {
  const bare = new Map(Array.from(tensors, ([name, tensor]) => [name.replace(prefix, ''), tensor]));
  // Names that only the prefix keeps apart are left alone.
  return bare.size === tensors.size ? bare : tensors;
}
