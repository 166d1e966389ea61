import {
  elementCount,
  isPacked,
  packedForm,
  type DType,
  type OperationView,
  type TensorSpec,
} from '@rwkv-js/tensor';
import type { Argument } from '../argument.ts';
import type { KernelMaker, Pass } from '../kernel.ts';
import { flatGroup, gridOf, wgsl } from '../wgsl.ts';

const threads = 256;

/** Elements that are moved as they are: those of a plain tensor, or the quants or scales of a packed one. */
interface Plane {
  readonly shape: readonly number[];
  /** Bits of an element: whole words for quants, which come in blocks of 16 bytes. */
  readonly bits: 16 | 32;
  /** The word of the tensor's memory in which it begins. */
  readonly firstWord: number;
}

function planesOf({ dtype, shape }: TensorSpec): readonly Plane[] {
  if (!isPacked(dtype)) {
    return [{ shape, bits: dtype === 'f16' || dtype === 'bf16' ? 16 : 32, firstWord: 0 }];
  }
  const { lineBytes, blocks, quantBytes } = packedForm({ dtype, shape });
  const outer = [...shape];
  outer.splice(shape.length + dtype.axis, 1);
  return [
    { shape: [...outer, lineBytes / 4], bits: 32, firstWord: 0 },
    {
      shape: [...outer, blocks],
      bits: dtype.scale === 'f16' ? 16 : 32,
      firstWord: quantBytes / 4,
    },
  ];
}

/** Where an axis of a tensor is among the axes of its planes: blocks along columns lie transposed. */
function planeAxis(dtype: DType, axis: number, rank: number): number {
  if (!isPacked(dtype) || dtype.axis === -1 || axis < rank - 2) return axis;
  return axis === rank - 1 ? rank - 2 : rank - 1;
}

/** The bits of an element of a plane. */
function bitsAt(x: Argument, { bits, firstWord }: Plane, place: string): string {
  if (bits === 32) return x.word(`${firstWord}u + ${place}`);
  return `((${x.word(`${firstWord}u + (${place} >> 1u)`)} >> (16u * (${place} & 1u))) & 0xffffu)`;
}

/** What moving needs to know of an operation. */
type Moved = Pick<OperationView, 'inputs' | 'outputs'>;

/**
 * Operations that move elements and change none, any dtype, from one template. A thread writes one word
 * of the output: one element of 32 bits, or two of 16 (a plane of an odd number ends with half a word).
 *
 * @param element statements that set `bits` to those of element `o` of a plane
 */
function move(
  view: Moved,
  element: (inputs: readonly Argument[], plane: number, planes: readonly Plane[]) => string,
): readonly Pass[] {
  const output = view.outputs[0]!;
  const targets = planesOf(output);
  const inputPlanes = view.inputs.map(planesOf);
  return targets.map((target, plane): Pass => {
    const count = elementCount(target.shape);
    const words = target.bits === 32 ? count : Math.ceil(count / 2);
    return {
      grid: gridOf(Math.ceil(words / threads)),
      threads,
      source: ({ inputs, outputs: [y] }) => {
        const value = (expression: string): string =>
          y!.type === 'array<u32>' ? expression : `bitcast<${y!.type.slice(6, -1)}>(${expression})`;
        const planes = inputPlanes.map((of) => of[plane]!);
        return {
          module: wgsl`
fn element(o: u32) -> u32 {
  var bits = 0u;
  ${element(inputs, plane, planes)}
  return bits;
}`,
          main: wgsl`
  let i = ${flatGroup} * ${threads}u + thread;
  if (i >= ${words}u) { return; }
  ${
    target.bits === 32
      ? `${y!.name}[${target.firstWord}u + i] = ${value('element(i)')};`
      : `var word = element(2u * i);
  if (2u * i + 1u < ${count}u) { word |= element(2u * i + 1u) << 16u; }
  ${y!.name}[${target.firstWord}u + i] = ${value('word')};`
  }`,
        };
      },
    };
  });
}

/** Elements `start` to `end` along an axis. */
const slice: KernelMaker = (view) => {
  const { axis, start } = view.attributes as { axis: number; start: number };
  const [x, y] = [view.inputs[0]!, view.outputs[0]!];
  const along = planeAxis(x.dtype, axis, x.shape.length);
  return {
    passes: move(view, ([from], plane, [source]) => {
      const target = planesOf(y)[plane]!.shape;
      const inner = elementCount(source!.shape.slice(along + 1));
      // An element of a plane may stand for several of the tensor, or the other way round.
      const first = (start * source!.shape[along]!) / x.shape[axis]!;
      const [size, own] = [source!.shape[along]!, target[along]!];
      const place = `((o / ${own * inner}u) * ${size * inner}u + ${first * inner}u + o % ${own * inner}u)`;
      return `let place = ${place}; bits = ${bitsAt(from!, source!, 'place')};`;
    }),
    cost: { bytesRead: bytesOf(y), operations: 0 },
  };
};

/** Tensors one after another along an axis. */
const concat: KernelMaker = (view) => {
  const { axis } = view.attributes as { axis: number };
  const y = view.outputs[0]!;
  const along = planeAxis(y.dtype, axis, y.shape.length);
  return {
    passes: move(view, (inputs, plane, planes) => {
      const { shape } = planesOf(y)[plane]!;
      const row = elementCount(shape.slice(along));
      let start = 0;
      const branches = inputs.map((input, n) => {
        const run = elementCount(planes[n]!.shape.slice(along));
        const from = start;
        start += run;
        return `if (inside < ${start}u) {
    let place = outer * ${run}u + inside - ${from}u;
    bits = ${bitsAt(input, planes[n]!, 'place')};
  }`;
      });
      return `let outer = o / ${row}u;
  let inside = o % ${row}u;
  ${branches.join(' else ')}`;
    }),
    cost: { operations: 0 },
  };
};

/** x between zeros along an axis. */
const pad: KernelMaker = (view) => {
  const { axis, start } = view.attributes as { axis: number; start: number };
  const [x, y] = [view.inputs[0]!, view.outputs[0]!];
  const inner = elementCount(y.shape.slice(axis + 1));
  const [own, size] = [x.shape[axis]! * inner, y.shape[axis]! * inner];
  return {
    passes: move(
      view,
      ([from], _, [source]) => `let inside = o % ${size}u;
  if (inside >= ${start * inner}u && inside < ${start * inner + own}u) {
    let place = (o / ${size}u) * ${own}u + inside - ${start * inner}u;
    bits = ${bitsAt(from!, source!, 'place')};
  }`,
    ),
    cost: { operations: 0 },
  };
};

/** The passes that exchange the axes of a matrix; a packed one keeps its bytes. */
export function transposePasses(view: Moved): readonly Pass[] {
  const x = view.inputs[0]!;
  const [rows, columns] = x.shape as [number, number];
  return move(view, ([from], _, [source]) => {
    const place = isPacked(x.dtype) ? 'o' : `((o % ${rows}u) * ${columns}u + o / ${rows}u)`;
    return `let place = ${place}; bits = ${bitsAt(from!, source!, 'place')};`;
  });
}

/** A matrix with its axes exchanged. */
const transpose: KernelMaker = (view) => ({
  passes: transposePasses(view),
  cost: { operations: 0 },
});

/** The second tensor written over the first. */
const assign: KernelMaker = (view) => ({
  passes: move(view, ([, value], _, [, source]) => `bits = ${bitsAt(value!, source!, 'o')};`),
  cost: { bytesRead: bytesOf(view.outputs[0]!), operations: 0 },
});

/** Zeros. */
const zerosLike: KernelMaker = (view) => ({
  passes: move(view, () => ''),
  cost: { bytesRead: 0, operations: 0 },
});

function bytesOf(spec: TensorSpec): number {
  return planesOf(spec).reduce((sum, { shape, bits }) => sum + (elementCount(shape) * bits) / 8, 0);
}

/** Kernels by the name of their operation. */
export const moveKernels: Readonly<Record<string, KernelMaker>> = {
  slice,
  concat,
  pad,
  transpose,
  assign,
  zerosLike,
};
