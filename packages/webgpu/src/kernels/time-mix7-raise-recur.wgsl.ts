import { isPacked } from '@rwkv-js/tensor';
import type { KernelMaker, Pass } from '../kernel.ts';
import { flatGroup, float, gridOf, wgsl } from '../wgsl.ts';
import { linesOf, loadQuads, loadsOf, loadType, unpacking } from './matrix.ts';
import { blockQuads, blockSize, firstScale, quantizing } from './quantize.wgsl.ts';
import { rowSum, shufflesRows } from './row-sum.ts';
import { factorsOf, sigmoid, tanh, type Ranks } from './time-mix7-factors.ts';

/** Loads of a factor that a thread asks for side by side. */
const mostLoads = 64;

/** Bytes of work group memory for sums that meet; what else lies there takes a few thousand. */
const sumBytes = 8192;

/**
 * One token of one sequence: the up halves of the low-rank maps, what they are for, and the recurrence; see
 * core's composite. A work group for each head.
 *
 * Its threads first take lines of the factors, a few numbers of the head's each, and their sums meet through
 * subgroups and in memory of the work group. Then each keeps four neighbours of some rows of the matrix, which were
 * asked for at the beginning, and its own quad of every vector. Other shapes are lowered.
 */
export const timeMix7RaiseRecur: KernelMaker = ({ inputs, outputs, attributes }, capabilities) => {
  const [low, up, , r] = inputs;
  const [slots, heads, n] = inputs[6]!.shape as [number, number, number];
  const resultSpec = outputs[0]!;
  const quantized = isPacked(resultSpec.dtype);
  const floats = inputs.every(({ dtype }, i) => i === 1 || i === 7 || dtype === 'f32');
  if (low!.shape[0] !== 1 || slots !== 1 || n % 4 !== 0 || n > 256 || !floats) return undefined;
  if (quantized && n % 32 !== 0) return undefined;
  const ranks = attributes as unknown as Ranks;
  const factors = factorsOf(ranks);
  const width = r!.shape[1]!;
  const quads = n / 4;
  const rowsAtOnce = Math.max(1, Math.min(n, Math.floor(256 / quads)));
  const threads = rowsAtOnce * quads;
  const steps = range(Math.ceil(n / rowsAtOnce));
  // Lines of the factors: loads of a head's part beside each other, lines behind each other.
  const loadSize = loadQuads(up!);
  const across = n / (4 * loadSize);
  const deep = threads / across;
  if (!Number.isInteger(across) || !Number.isInteger(deep) || linesOf(up!).length !== width) {
    return undefined;
  }
  const loads = factors.map(({ rank }) => Math.ceil(rank / deep));
  if (loads.reduce((a, b) => a + b) > mostLoads || loadSize > 4) return undefined;
  const joins: number[] = [];
  if (capabilities.subgroups && isPowerOfTwo(across)) {
    for (let by = across; by < Math.min(capabilities.narrowestSubgroup, threads); by *= 2) {
      joins.push(by);
    }
  }
  const apart = deep >> joins.length;
  const together = Math.min(factors.length, Math.floor(sumBytes / (4 * n * apart)));
  if (together < 1 || deep % 2 ** joins.length !== 0) return undefined;
  const turns = range(Math.ceil(factors.length / together)).map((turn) =>
    factors.map((_, f) => f).slice(turn * together, (turn + 1) * together),
  );
  const shuffles = shufflesRows(quads, capabilities);
  const type = loadType(up!);
  const vectorPlaces = [0, 2, 3, 4, 5, 6, 8, inputs.length, inputs.length + 1];
  const types: Record<number, string> = {
    ...Object.fromEntries(vectorPlaces.map((place) => [place, 'array<vec4<f32>>'])),
    0: 'array<f32>',
    ...(type && { 1: type }),
    ...(quantized && { [inputs.length]: 'array<u32>' }),
  };
  const each = (text: (s: number) => string): string => steps.map(text).join('\n  ');
  const biases = ranks.v > 0 ? 3 : 2;
  const pass: Pass = {
    grid: gridOf(heads),
    threads,
    types,
    source: ({
      inputs: [lowOf, upOf, vectors, rOf, kOf, valueOf, state, offsets, firstOf],
      outputs: [y, next],
    }) => {
      const loadsOfUp = loadsOf('load_up', upOf!);
      const raised = (letter: keyof Ranks): string => {
        const f = factors.findIndex((factor) => factor.letter === letter);
        return `vec4f(${range(4)
          .map((i) => `raised[${f * n}u + 4u * own + ${i}u]`)
          .join(', ')})`;
      };
      const bias = (row: number, at: string): string =>
        `${vectors!.name}[${(row * width) / 4}u + ${at}]`;
      const vf = factors.findIndex(({ letter }) => letter === 'v');
      return {
        subgroups: shuffles || joins.length > 0,
        module: wgsl`${unpacking}
var<workgroup> sums: array<vec4f, ${together * apart * quads}>;
var<workgroup> raised: array<f32, ${factors.length * n}>;
var<workgroup> read_of: array<f32, ${n}>;
${loadsOfUp.module}
${quantized ? quantizing + blockSize(threads, capabilities) : ''}
${rowSum(threads, quads, shuffles)}`,
        main: wgsl`
  let head = ${flatGroup};
  if (head >= ${heads}u) { return; }
  let own = thread % ${quads}u;
  let own_row = thread / ${quads}u;
  let at = head * ${quads}u + own;
  ${each((s) => `let row_${s} = min(own_row + ${s * rowsAtOnce}u, ${n - 1}u);`)}
  ${each((s) => `let matrix_${s} = ${state!.name}[(head * ${n}u + row_${s}) * ${quads}u + own];`)}
  let beside = thread % ${across}u;
  let behind = thread / ${across}u;
  let load = head * ${across}u + beside;
  ${factors
    .map(({ letter, start, rank }, f) => {
      const act = letter === 'w' ? tanh : letter === 'g' ? sigmoid : (text: string) => text;
      return range(loads[f]!)
        .map((u) => {
          const whole = (u + 1) * deep <= rank;
          const line = whole ? `behind + ${u * deep}u` : `min(behind + ${u * deep}u, ${rank - 1}u)`;
          const x = act(lowOf!.at(`${start}u + line_${f}_${u}`), 'f32');
          return wgsl`let line_${f}_${u} = ${line};
  let w_${f}_${u} = ${loadsOfUp.load(`(${start}u + line_${f}_${u})`, 'load')};${
    loadsOfUp.scale
      ? ` let s_${f}_${u} = ${loadsOfUp.scale.of(`(${start}u + line_${f}_${u})`, 'load')};`
      : ''
  }
  let x_${f}_${u} = ${whole ? x : `select(0.0, ${x}, behind + ${u * deep}u < ${rank}u)`}${loadsOfUp.scale ? ` * s_${f}_${u}` : ''};`;
        })
        .join('\n  ');
    })
    .join('\n  ')}
  let key = ${kOf!.name}[at];
  let receptance = ${rOf!.name}[at];
  let projected = ${valueOf!.name}[at];
  ${each((s) => `let projected_${s} = ${valueOf!.name}[head * ${quads}u + (row_${s} >> 2u)][row_${s} & 3u];`)}
  ${
    firstOf
      ? wgsl`let first = ${firstOf.name}[at];
  ${each((s) => `let first_${s} = ${firstOf.name}[head * ${quads}u + (row_${s} >> 2u)][row_${s} & 3u]; let bias_${s} = ${bias(2, `head * ${quads}u + (row_${s} >> 2u)`)}[row_${s} & 3u];`)}`
      : ''
  }
  ${range(biases)
    .map((i) => `let bias_of_${i} = ${bias(i, 'at')};`)
    .join(' ')}
  ${range(5)
    .map((i) => `let vector_${i} = ${bias(biases + i, 'at')};`)
    .join('\n  ')}
  let is_empty = ${offsets!.at('1u')} == 0;
  ${factors
    .map((_, f) =>
      range(loadSize)
        .map((q) => {
          const terms = range(loads[f]!).map(
            (u) => `x_${f}_${u} * ${loadsOfUp.quad(`w_${f}_${u}`, q)}`,
          );
          return `var sum_${f}_${q} = ${terms.join(' + ')};${joins
            .map((by) => ` sum_${f}_${q} += subgroupShuffleXor(sum_${f}_${q}, ${by}u);`)
            .join('')}`;
        })
        .join('\n  '),
    )
    .join('\n  ')}
  ${turns
    .map(
      (turn) => wgsl`if (behind % ${2 ** joins.length}u == 0u) {
    let place = (behind / ${2 ** joins.length}u) * ${quads}u + beside * ${loadSize}u;
    ${turn
      .map((f, i) =>
        range(loadSize)
          .map((q) => `sums[${i * apart * quads}u + place + ${q}u] = sum_${f}_${q};`)
          .join(' '),
      )
      .join('\n    ')}
  }
  workgroupBarrier();
  for (var i = thread; i < ${turn.length * n}u; i += ${threads}u) {
    let channel = i % ${n}u;
    var value = 0.0;
    for (var d = 0u; d < ${apart}u; d++) { value += sums[((i / ${n}u) * ${apart}u + d) * ${quads}u + (channel >> 2u)][channel & 3u]; }
    raised[${turn[0]! * n}u + i] = value;
  }
  workgroupBarrier();`,
    )
    .join('\n  ')}
  let fading = exp(${float(-Math.exp(-0.5))} * ${sigmoid(`${raised('w')} + bias_of_0`, 'vec4f')});
  let learning = ${sigmoid(`${raised('a')} + bias_of_1`, 'vec4f')};
  let gating = ${raised('g')};
  ${
    firstOf
      ? wgsl`let value = projected + (first - projected) * ${sigmoid(`${raised('v')} + bias_of_2`, 'vec4f')};
  ${each((s) => `let value_${s} = projected_${s} + (first_${s} - projected_${s}) * ${sigmoid(`raised[${vf * n}u + row_${s}] + bias_${s}`, 'f32')};`)}`
      : wgsl`let value = projected;
  ${each((s) => `let value_${s} = projected_${s};`)}`
  }
  let scaled = key * vector_0;
  let kappa = scaled / max(sqrt(row_sum(dot(scaled, scaled), thread)), 1e-12);
  let entering = key + (key * learning - key) * vector_1;
  let rating = kappa * learning;
  let agreement = row_sum(dot(receptance * entering, vector_2), thread);
  ${each((s) => `let read_${s} = row_sum(-dot(matrix_${s}, kappa), thread);`)}
  ${each((s) => `let next_${s} = matrix_${s} * fading + read_${s} * rating + value_${s} * entering;`)}
  ${each((s) => `let result_${s} = row_sum(dot(next_${s}, receptance), thread);`)}
  if (own == 0u) {
    ${each((s) => `read_of[row_${s}] = result_${s};`)}
  }
  ${each((s) => `if (own_row + ${s * rowsAtOnce}u < ${n}u) { ${next!.name}[(head * ${n}u + row_${s}) * ${quads}u + own] = select(next_${s}, matrix_${s}, is_empty); }`)}
  workgroupBarrier();
  let result = vec4f(read_of[4u * own], read_of[4u * own + 1u], read_of[4u * own + 2u], read_of[4u * own + 3u]);
  let centred = result - row_sum(dot(result, vec4f(1.0)), thread) / ${float(n)};
  let squares = row_sum(dot(centred, centred), thread);
  let normed = centred / sqrt(squares / ${float(n)} + ${float(attributes['epsilon'] as number)}) * vector_3 + vector_4;
  let written = select((normed + agreement * value) * gating, vec4f(), is_empty);
  ${
    quantized
      ? wgsl`let quant_scale = scale_of(block_size(size_of(written), thread));
  if (own_row == 0u) {
    ${y!.name}[at] = quants_of(written, quant_scale);
    if (own % ${blockQuads}u == 0u) { ${y!.name}[${firstScale(resultSpec)}u + at / ${blockQuads}u] = bitcast<u32>(quant_scale); }
  }`
      : `if (own_row == 0u) { ${y!.name}[at] = written; }`
  }`,
      };
    },
  };
  return { passes: [pass] };
};

function isPowerOfTwo(value: number): boolean {
  return (value & (value - 1)) === 0;
}

function range(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i);
}
