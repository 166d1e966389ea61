import { isPacked, type TensorSpec } from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
import type { Capabilities, ShaderArguments } from '../kernel.ts';
import { wgsl } from '../wgsl.ts';
import { firstScale } from './quantize.wgsl.ts';

/** WGSL of an elementwise function: an expression of `value`, of that type. */
export type Activation = (value: string, type: 'f32' | 'vec4f') => string;

/**
 * One matrix product of a kernel: rows of x with lines of a weight matrix. Kernels have one or several,
 * which share a launch.
 */
export interface Product {
  /** Places of x and of the weight among the operation's inputs. */
  readonly x: number;
  readonly weight: number;
  /** Where its rows begin in x, in rows. */
  readonly firstRow: number;
  /** The first column of x that meets the weight, and how many do. */
  readonly firstColumn: number;
  readonly depth: number;
  /** The first row of the result among the weight's rows, or its lines where it is by columns. */
  readonly firstOut: number;
  readonly out: number;
  /** True where the weight lies as [depth, out]: stored so, or packed along its columns. */
  readonly transposed: boolean;
  /** What is done to x before the product. */
  readonly activation?: Activation;
  /** Statements that take `value`, result `o` (of this product) of row `t`. */
  readonly store: (args: ShaderArguments) => string;
}

/** Products that read the same weight: they share the text that does so, and differ in where they read. */
export interface Family {
  readonly weight: number;
  readonly x: number;
  readonly transposed: boolean;
  readonly activations: boolean;
  readonly members: readonly Member[];
  /** The work group after its last. */
  readonly end: number;
}

/** A product of a family and the work groups that make it. */
export interface Member extends Product {
  readonly start: number;
  readonly end: number;
}

/**
 * Gives every product its work groups, one after another, and gathers those that follow each other over
 * one weight.
 */
export function familiesOf(
  products: readonly Product[],
  groupsOf: (product: Product) => number,
): readonly Family[] {
  const families: (Family & { members: Member[]; end: number })[] = [];
  let end = 0;
  for (const product of products) {
    const start = end;
    end += groupsOf(product);
    const { weight, x, transposed, activation } = product;
    const activations = activation !== undefined;
    const last = families.at(-1);
    const member = { ...product, start, end };
    if (last && last.weight === weight && last.x === x && !activations && !last.activations) {
      last.members.push(member);
      last.end = end;
    } else {
      families.push({ weight, x, transposed, activations, members: [member], end });
    }
  }
  return families;
}

/** Statements in a work group of a family's: declares what its members differ in. */
export function declareMember(
  { members }: Family,
  fields: readonly ('start' | 'firstRow' | 'firstColumn' | 'depth' | 'firstOut' | 'out')[],
): string {
  return fields
    .map((field) => {
      const [first, ...others] = members;
      const alike = others.every((member) => member[field] === first![field]);
      if (alike) return `let m_${field} = ${first![field]}u;`;
      const value = members
        .slice(0, -1)
        .reduceRight(
          (rest, member) => `select(${rest}, ${member[field]}u, group_index < ${member.end}u)`,
          `${members.at(-1)![field]}u`,
        );
      return `let m_${field} = ${value};`;
    })
    .join(' ');
}

/** `if` for each of some parts of the grid, by its end. */
export function byGroup<Part extends { readonly end: number }>(
  parts: readonly Part[],
  body: (part: Part) => string,
): string {
  return parts
    .map((part, i) => {
      const head = i === parts.length - 1 ? '{' : `if (group_index < ${part.end}u) {`;
      return `${i === 0 ? '' : ' else '}${head}
    ${body(part)}
  }`;
    })
    .join('');
}

/** What a kernel of products is generated from. */
export interface Products {
  readonly tokens: number;
  readonly inputs: readonly TensorSpec[];
  readonly products: readonly Product[];
  readonly capabilities: Capabilities;
  /** True where x may be far smaller than 1, as gradients are: it is not split into halves. */
  readonly faint?: boolean;
}

/** True where an input that is multiplied is read as vectors of four: f32, parts that begin at whole quads. */
export function readsQuads({ inputs, products }: Products, x: number): boolean {
  const { dtype, shape } = inputs[x]!;
  const aligned = products.every((one) => one.x !== x || one.firstColumn % 4 === 0);
  return dtype === 'f32' && shape.at(-1)! % 4 === 0 && aligned;
}

/**
 * `fn quad_N(row: u32, column: u32) -> vec4f` for each x: four numbers of a row; zeros past its end, unless
 * nobody asks there.
 */
export function rowReaders(
  products: readonly Product[],
  inputs: readonly Argument[],
  within = false,
): string {
  return [...new Set(products.map(({ x }) => x))]
    .map((x) => {
      const argument = inputs[x]!;
      const width = argument.spec.shape.at(-1)!;
      if (isPacked(argument.spec.dtype)) {
        const wide = argument.type === 'array<vec4<u32>>';
        const word = (at: string): string =>
          wide ? `${argument.name}[(${at}) >> 2u][(${at}) & 3u]` : `${argument.name}[${at}]`;
        return wgsl`
fn quad_${x}(row: u32, column: u32) -> vec4f {
  ${within ? '' : `if (column >= ${width}u) { return vec4f(); }`}
  let at = row * ${width}u + column;
  return bitcast<f32>(${word(`${firstScale(argument.spec)}u + (at >> 5u)`)}) * signed_bytes(${word('at >> 2u')});
}`;
      }
      if (argument.type === 'array<vec4<f32>>') {
        return wgsl`
fn quad_${x}(row: u32, column: u32) -> vec4f {
  ${within ? '' : `if (column >= ${width}u) { return vec4f(); }`}
  return ${argument.name}[(row * ${width}u + column) >> 2u];
}`;
      }
      return wgsl`
fn value_${x}(row: u32, i: u32) -> f32 {
  if (i >= ${width}u) { return 0.0; }
  return ${argument.at(`row * ${width}u + i`)};
}
fn quad_${x}(row: u32, i: u32) -> vec4f {
  return vec4f(value_${x}(row, i), value_${x}(row, i + 1u), value_${x}(row, i + 2u), value_${x}(row, i + 3u));
}`;
    })
    .join('\n');
}
