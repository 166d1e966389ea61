import { elementCount } from '@rwkv-js/tensor';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, float, gridOf, powerOfTwo, wgsl } from '../wgsl.ts';
import { reduction } from './reduce.ts';

/** Numbers of a row that a thread keeps. */
const mostKept = 16;

/**
 * Layer norm and group norm: x [tokens, width], weight and bias [width]. One work group for each row and
 * group of channels, which reads its part once and keeps it; of a very long one it reads the rest again.
 */
const norm: KernelMaker = ({ inputs, attributes }, capabilities) => {
  const [tokens, width] = inputs[0]!.shape as [number, number];
  const groups = (attributes['groups'] as number | undefined) ?? 1;
  const size = width / groups;
  const threads = powerOfTwo(size / 4, 32, Math.min(1024, capabilities.threads));
  const { subgroups } = capabilities;
  const total = (value: string): string =>
    `total(${value}, thread${subgroups ? ', lane, lanes' : ''})`;
  const each = Math.ceil(size / threads);
  const kept = Array.from({ length: Math.min(each, mostKept) }, (_, e) => e);
  const place = (e: number): string => `thread + ${e * threads}u`;
  const within = (e: number, text: string): string =>
    (e + 1) * threads <= size ? text : `if (${place(e)} < ${size}u) { ${text} }`;
  const rest = (body: string): string =>
    each > mostKept
      ? `for (var i = ${place(mostKept)}; i < ${size}u; i += ${threads}u) { ${body} }`
      : '';
  return {
    passes: [
      {
        grid: gridOf(tokens * groups),
        threads,
        source: ({ inputs: [x, weight, bias], outputs: [y] }) => {
          const put = (i: string, value: string): string =>
            `${y!.name}[start + ${i}] = (${value} - mean) * scale * ${weight!.at(`channel + ${i}`)} + ${bias!.at(`channel + ${i}`)};`;
          return {
            subgroups,
            module: reduction('total', threads, '+', subgroups),
            main: wgsl`
  let part = ${flatGroup};
  if (part >= ${tokens * groups}u) { return; }
  let start = part * ${size}u;
  let channel = (part % ${groups}u) * ${size}u;
  ${kept.map((e) => `let own_${e} = ${x!.at(`start + min(${place(e)}, ${size - 1}u)`)};`).join('\n  ')}
  var sum = 0.0;
  ${kept.map((e) => within(e, `sum += own_${e};`)).join(' ')}
  ${rest(`sum += ${x!.at('start + i')};`)}
  let mean = ${total('sum')} / ${float(size)};
  var squares = 0.0;
  ${kept.map((e) => within(e, `squares += (own_${e} - mean) * (own_${e} - mean);`)).join(' ')}
  ${rest(`let centred = ${x!.at('start + i')} - mean; squares += centred * centred;`)}
  let scale = 1.0 / sqrt(${total('squares')} / ${float(size)} + ${float(attributes['epsilon'] as number)});
  ${kept.map((e) => within(e, put(`${place(e)}`, `own_${e}`))).join('\n  ')}
  ${rest(put('i', x!.at('start + i')))}`,
          };
        },
      },
    ],
  };
};

/**
 * The gradients of group norm. First a work group for each row and group of channels gives dx and leaves
 * mean and scale in the working memory [tokens, groups, 2]; then a thread for each channel sums dweight
 * and dbias over the rows in their order.
 */
const groupNormBackward: KernelMaker = ({ inputs, attributes }) => {
  const [tokens, width] = inputs[0]!.shape as [number, number];
  const { groups, epsilon } = attributes as { groups: number; epsilon: number };
  const size = width / groups;
  const threads = powerOfTwo(size, 32, 256);
  const loop = (body: string): string =>
    `for (var i = thread; i < ${size}u; i += ${threads}u) { ${body} }`;
  return {
    scratchBytes: 8 * tokens * groups,
    passes: [
      {
        grid: gridOf(tokens * groups),
        threads,
        source: ({ inputs: [x, weight, flow], outputs: [dx], scratch }) => ({
          module: reduction('total', threads),
          main: wgsl`
  let part = ${flatGroup};
  if (part >= ${tokens * groups}u) { return; }
  let start = part * ${size}u;
  let channel = (part % ${groups}u) * ${size}u;
  var sum = 0.0;
  ${loop(`sum += ${x!.at('start + i')};`)}
  let mean = total(sum, thread) / ${float(size)};
  sum = 0.0;
  ${loop(`let centred = ${x!.at('start + i')} - mean; sum += centred * centred;`)}
  let scale = 1.0 / sqrt(total(sum, thread) / ${float(size)} + ${float(epsilon)});
  var ofE = 0.0;
  var ofProduct = 0.0;
  ${loop(`let e = ${flow!.at('start + i')} * ${weight!.at('channel + i')}; ofE += e; ofProduct += e * (${x!.at('start + i')} - mean) * scale;`)}
  let meanOfE = total(ofE, thread) / ${float(size)};
  let meanOfProduct = total(ofProduct, thread) / ${float(size)};
  ${loop(`let normed = (${x!.at('start + i')} - mean) * scale;
    ${dx!.name}[start + i] = scale * (${flow!.at('start + i')} * ${weight!.at('channel + i')} - meanOfE - normed * meanOfProduct);`)}
  if (thread == 0u) {
    ${scratch}[2u * part] = mean;
    ${scratch}[2u * part + 1u] = scale;
  }`,
        }),
      },
      {
        grid: gridOf(Math.ceil(width / 64)),
        threads: 64,
        source: ({ inputs: [x, , flow], outputs: [, dweight, dbias], scratch }) => ({
          main: wgsl`
  let channel = ${flatGroup} * 64u + thread;
  if (channel >= ${width}u) { return; }
  var ofWeight = 0.0;
  var ofBias = 0.0;
  for (var row = 0u; row < ${tokens}u; row++) {
    let at = 2u * (row * ${groups}u + channel / ${size}u);
    let flowing = ${flow!.at(`row * ${width}u + channel`)};
    ofWeight += flowing * (${x!.at(`row * ${width}u + channel`)} - ${scratch}[at]) * ${scratch}[at + 1u];
    ofBias += flowing;
  }
  ${dweight!.name}[channel] = ofWeight;
  ${dbias!.name}[channel] = ofBias;`,
        }),
      },
    ],
  };
};

/** Vectors along the last axis: a work group each. `each` is written at i of the vector at `start`. */
function vectors(
  reduce: (x: string, flow: string) => readonly string[],
  finish: string,
  each: (x: string, flow: string) => string,
): KernelMaker {
  return ({ inputs }) => {
    const n = inputs[0]!.shape.at(-1)!;
    const count = elementCount(inputs[0]!.shape) / n;
    const threads = powerOfTwo(n, 32, 256);
    return {
      passes: [
        {
          grid: gridOf(count),
          threads,
          source: ({ inputs: [x, second], outputs: [y] }) => {
            const own = x!.at('start + i');
            const flow = second?.at('start + i') ?? '';
            return {
              module: reduction('total', threads),
              main: wgsl`
  let part = ${flatGroup};
  if (part >= ${count}u) { return; }
  let start = part * ${n}u;
  var sums = vec2f();
  for (var i = thread; i < ${n}u; i += ${threads}u) {
    ${reduce(own, flow)
      .map((of, at) => `sums[${at}] += ${of};`)
      .join(' ')}
  }
  ${reduce(own, flow)
    .map((_, at) => `let sum${at} = total(sums[${at}], thread);`)
    .join(' ')}
  ${finish}
  for (var i = thread; i < ${n}u; i += ${threads}u) { ${y!.name}[start + i] = ${each(own, flow)}; }`,
            };
          },
        },
      ],
    };
  };
}

/** Kernels by the name of their operation. */
export const normKernels: Readonly<Record<string, KernelMaker>> = {
  layerNorm: norm,
  groupNorm: norm,
  groupNormBackward,
  l2Normalize: vectors(
    (x) => [`${x} * ${x}`],
    'let scale = 1.0 / max(sqrt(sum0), 1e-12);',
    (x) => `${x} * scale`,
  ),
  l2NormalizeBackward: vectors(
    (x, flow) => [`${x} * ${x}`, `${x} * ${flow}`],
    `let length = sqrt(sum0);
  let scale = 1.0 / max(length, 1e-12);
  let along = select(0.0, sum1 / sum0, length > 1e-12);`,
    (x, flow) => `(${flow} - ${x} * along) * scale`,
  ),
};
