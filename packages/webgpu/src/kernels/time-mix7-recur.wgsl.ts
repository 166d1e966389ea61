import { isPacked } from '@rwkv-js/tensor';
import type { KernelMaker, Pass } from '../kernel.ts';
import { flatGroup, float, gridOf, wgsl } from '../wgsl.ts';
import { blockQuads, blockSize, firstScale, quantizing } from './quantize.wgsl.ts';

/**
 * The recurrence of RWKV-7 with what surrounds it: key normalisation, state update, head normalisation,
 * bonus, gate; see core's composite. Rows [tokens, width], state [slots, heads, n, n].
 *
 * A work group for each head of a slot; its threads keep the matrix in registers, four neighbours of a row
 * each, and walk the sequence in parts of a few tokens. Vectors of a part lie in memory of the work group;
 * what is elementwise is done for the whole part at once. One further work group for each head does that for
 * padding rows, of which the recurrence reads zeros. Sums along a row go through subgroups that are
 * wide enough, else through memory of the work group. The state is read and written once.
 */
export const timeMix7Recur: KernelMaker = ({ inputs, outputs, attributes }, capabilities) => {
  const tokens = inputs[0]!.shape[0]!;
  const [slots, heads, n] = inputs[7]!.shape as [number, number, number];
  const plain = inputs.every(({ dtype }, i) => i === 8 || dtype === 'f32');
  if (n % 4 !== 0 || n > 256 || !plain) return undefined;
  const resultSpec = outputs[0]!;
  const quantized = isPacked(resultSpec.dtype);
  // A block of quantised numbers is of one head.
  if (quantized && n % 32 !== 0) return undefined;
  const types = quantized ? { ...vectorTypes, 9: 'array<u32>' } : vectorTypes;
  const width = heads * n;
  const quads = n / 4;
  const rowsAtOnce = Math.max(1, Math.min(n, Math.floor(256 / quads)));
  const threads = rowsAtOnce * quads;
  const steps = Math.ceil(n / rowsAtOnce);
  // Vectors and sums of one token, in bytes.
  const bytes = 4 * (8 * n + 2 * quads);
  const memory = Math.min(capabilities.workgroupMemory, 40960) - 4096;
  const part = Math.max(1, Math.min(16, tokens, Math.floor(memory / bytes)));
  const shuffles =
    capabilities.subgroups && quads <= capabilities.narrowestSubgroup && isPowerOfTwo(quads);
  const rowSum = shuffles
    ? wgsl`
fn row_sum(value: f32, thread: u32) -> f32 {
  var sum = value;
  ${Array.from({ length: Math.log2(quads) }, (_, i) => `sum += subgroupShuffleXor(sum, ${2 ** i}u);`).join(' ')}
  return sum;
}`
    : wgsl`
var<workgroup> row_parts: array<f32, ${threads}>;
fn row_sum(value: f32, thread: u32) -> f32 {
  row_parts[thread] = value;
  workgroupBarrier();
  let first = (thread / ${quads}u) * ${quads}u;
  var sum = 0.0;
  for (var i = 0u; i < ${quads}u; i++) { sum += row_parts[first + i]; }
  workgroupBarrier();
  return sum;
}`;
  if (tokens === 1 && slots === 1) {
    return {
      passes: [
        ofOneToken({
          heads,
          n,
          threads,
          rowsAtOnce,
          shuffles,
          rowSum,
          types,
          quantization: quantized
            ? {
                module: quantizing + blockSize(threads, capabilities),
                firstScale: firstScale(resultSpec),
              }
            : undefined,
          epsilon: attributes['epsilon'] as number,
        }),
      ],
    };
  }
  const vectors = ['r', 'decay', 'k', 'v', 'a', 'b', 'gate'];
  const everyQuad = (body: string): string => `
    for (var i = thread; i < count * ${quads}u; i += ${threads}u) {
      let q = i % ${quads}u;
      let first_part = (i / ${quads}u) * ${quads}u;
      ${body}
    }
    workgroupBarrier();`;
  const step = (text: (s: number) => string): string =>
    Array.from({ length: steps }, (_, s) => text(s)).join('\n    ');
  const total = (name: string): string =>
    `var ${name} = 0.0; for (var p = 0u; p < ${quads}u; p++) { ${name} += sums[first_part + p]; }`;
  return {
    passes: [
      {
        grid: gridOf((slots + 1) * heads),
        threads,
        types,
        source: ({
          inputs: [r, decay, k, v, rate, gate, perHead, state, offsets],
          outputs: [y, next],
        }) => ({
          subgroups: shuffles,
          module: `${quantized ? quantizing : ''}${vectors.map((name) => `var<workgroup> ${name}_of: array<vec4f, ${part * quads}>;`).join('\n')}
var<workgroup> read_of: array<f32, ${part * n}>;
var<workgroup> sums: array<f32, ${part * quads}>;
var<workgroup> bonus: array<f32, ${part * quads}>;
var<workgroup> bounds: vec2u;
${rowSum}`,
          main: wgsl`
  let place = ${flatGroup};
  if (place >= ${(slots + 1) * heads}u) { return; }
  let slot = place / ${heads}u;
  let head = place % ${heads}u;
  let is_padding = slot == ${slots}u;
  let own = thread % ${quads}u;
  let own_row = thread / ${quads}u;
  ${step((s) => `var matrix_${s} = vec4f();`)}
  if (!is_padding) {
    ${step((s) => `matrix_${s} = ${state!.name}[(place * ${n}u + min(own_row + ${s * rowsAtOnce}u, ${n - 1}u)) * ${quads}u + own];`)}
  }
  if (thread == 0u) {
    bounds = vec2u(u32(${offsets!.at('slot')}), ${tokens}u);
    if (!is_padding) { bounds.y = u32(${offsets!.at('slot + 1u')}); }
  }
  let range = workgroupUniformLoad(&bounds);
  for (var start = range.x; start < range.y; start += ${part}u) {
    let count = min(${part}u, range.y - start);
    ${everyQuad(`let at = (start + i / ${quads}u) * ${width / 4}u + head * ${quads}u + q;
      let scaled = ${k!.name}[at] * ${perHead!.name}[head * ${quads}u + q];
      sums[i] = dot(scaled, scaled);
      a_of[i] = scaled;`)}
    ${everyQuad(`${total('squares')}
      let at = (start + i / ${quads}u) * ${width / 4}u + head * ${quads}u + q;
      let kappa = a_of[i] / max(sqrt(squares), 1e-12);
      let learning = ${rate!.name}[at];
      let receptance = ${r!.name}[at];
      let key = ${k!.name}[at];
      let entering = key + (key * learning - key) * ${perHead!.name}[${width / 4}u + head * ${quads}u + q];
      a_of[i] = -kappa;
      b_of[i] = kappa * learning;
      k_of[i] = entering;
      r_of[i] = receptance;
      decay_of[i] = ${decay!.name}[at];
      v_of[i] = ${v!.name}[at];
      gate_of[i] = ${gate!.name}[at];
      bonus[i] = dot(receptance * entering, ${perHead!.name}[${width / 2}u + head * ${quads}u + q]);`)}
    for (var t = 0u; t < count; t++) {
      let at = t * ${quads}u + own;
      // Step by step in the text: an array that is indexed in a loop would lie in slow memory.
      ${step((s) => `let row_${s} = min(own_row + ${s * rowsAtOnce}u, ${n - 1}u);`)}
      ${step((s) => `let read_${s} = row_sum(dot(matrix_${s}, a_of[at]), thread);`)}
      ${step((s) => `matrix_${s} = matrix_${s} * decay_of[at] + read_${s} * b_of[at] + v_of[t * ${quads}u + (row_${s} >> 2u)][row_${s} & 3u] * k_of[at];`)}
      ${step((s) => `let result_${s} = row_sum(dot(matrix_${s}, r_of[at]), thread);`)}
      if (own == 0u) {
        ${step((s) => `read_of[t * ${n}u + row_${s}] = select(result_${s}, 0.0, is_padding);`)}
      }
    }
    workgroupBarrier();
    ${everyQuad(`sums[i] = read_of[4u * i] + read_of[4u * i + 1u] + read_of[4u * i + 2u] + read_of[4u * i + 3u];`)}
    ${everyQuad(`${total('sum')}
      let centred = vec4f(read_of[4u * i], read_of[4u * i + 1u], read_of[4u * i + 2u], read_of[4u * i + 3u]) - sum / ${float(n)};
      a_of[i] = centred;`)}
    ${everyQuad('sums[i] = dot(a_of[i], a_of[i]);')}
    ${everyQuad(`${total('squares')}
      var agreement = 0.0;
      for (var p = 0u; p < ${quads}u; p++) { agreement += bonus[first_part + p]; }
      let normed = a_of[i] / sqrt(squares / ${float(n)} + ${float(attributes['epsilon'] as number)}) *
        ${perHead!.name}[${(3 * width) / 4}u + head * ${quads}u + q] + ${perHead!.name}[${width}u + head * ${quads}u + q];
      ${
        quantized
          ? 'let result ='
          : `let at = (start + i / ${quads}u) * ${width / 4}u + head * ${quads}u + q;
      ${y!.name}[at] =`
      } (normed + agreement * v_of[i]) * gate_of[i];
      ${quantized ? 'r_of[i] = result;' : ''}`)}
    ${
      quantized
        ? everyQuad(`let at = (start + i / ${quads}u) * ${width / 4}u + head * ${quads}u + q;
      var size = 0u;
      for (var p = 0u; p < ${blockQuads}u; p++) { size = max(size, size_of(r_of[(i & ~7u) + p])); }
      let scale = scale_of(size);
      ${y!.name}[at] = quants_of(r_of[i], scale);
      if (i % ${blockQuads}u == 0u) { ${y!.name}[${firstScale(resultSpec)}u + at / ${blockQuads}u] = bitcast<u32>(scale); }`)
        : ''
    }
  }
  if (is_padding) { return; }
  ${step((s) => `if (own_row + ${s * rowsAtOnce}u < ${n}u) { ${next!.name}[(place * ${n}u + own_row + ${s * rowsAtOnce}u) * ${quads}u + own] = matrix_${s}; }`)}`,
        }),
      },
    ],
  };
};

/** Arguments that are read as vectors of four: all but the offsets. */
const vectorTypes = Object.fromEntries(
  [0, 1, 2, 3, 4, 5, 6, 7, 9, 10].map((place) => [place, 'array<vec4<f32>>']),
);

/**
 * One token of one sequence: everything is asked for at the beginning, side by side, and a thread has in
 * registers what it needs of the vectors, its own quad of them. Only the norm of the result goes through
 * memory of the work group.
 */
function ofOneToken({
  heads,
  n,
  threads,
  rowsAtOnce,
  shuffles,
  rowSum,
  types,
  quantization,
  epsilon,
}: {
  readonly heads: number;
  readonly n: number;
  readonly threads: number;
  readonly rowsAtOnce: number;
  readonly shuffles: boolean;
  readonly rowSum: string;
  readonly types: Readonly<Record<number, string>>;
  /** Where the result is quantised: what that takes, and where its scales begin. */
  readonly quantization: { readonly module: string; readonly firstScale: number } | undefined;
  readonly epsilon: number;
}): Pass {
  const quads = n / 4;
  const width = heads * n;
  const steps = Array.from({ length: Math.ceil(n / rowsAtOnce) }, (_, s) => s);
  const each = (text: (s: number) => string): string => steps.map(text).join('\n  ');
  return {
    grid: gridOf(heads),
    threads,
    types,
    source: ({
      inputs: [r, decay, k, v, rate, gate, perHead, state, offsets],
      outputs: [y, next],
    }) => ({
      subgroups: shuffles,
      module: wgsl`
var<workgroup> read_of: array<f32, ${n}>;
${quantization?.module ?? ''}
${rowSum}`,
      main: wgsl`
  let head = ${flatGroup};
  if (head >= ${heads}u) { return; }
  let own = thread % ${quads}u;
  let own_row = thread / ${quads}u;
  let at = head * ${quads}u + own;
  ${each((s) => `let row_${s} = min(own_row + ${s * rowsAtOnce}u, ${n - 1}u);`)}
  ${each((s) => `var matrix_${s} = ${state!.name}[(head * ${n}u + row_${s}) * ${quads}u + own];`)}
  let key = ${k!.name}[at];
  let learning = ${rate!.name}[at];
  let receptance = ${r!.name}[at];
  let fading = ${decay!.name}[at];
  let gating = ${gate!.name}[at];
  let value = ${v!.name}[at];
  ${each((s) => `let values_${s} = ${v!.name}[head * ${quads}u + (row_${s} >> 2u)];`)}
  ${[0, 1, 2, 3, 4].map((i) => `let vector_${i} = ${perHead!.name}[${(i * width) / 4}u + at];`).join('\n  ')}
  let is_empty = ${offsets!.at('1u')} == 0;
  let scaled = key * vector_0;
  let kappa = scaled / max(sqrt(row_sum(dot(scaled, scaled), thread)), 1e-12);
  let entering = key + (key * learning - key) * vector_1;
  let rating = kappa * learning;
  let agreement = row_sum(dot(receptance * entering, vector_2), thread);
  ${each((s) => `let read_${s} = row_sum(-dot(matrix_${s}, kappa), thread);`)}
  ${each((s) => `let next_${s} = matrix_${s} * fading + read_${s} * rating + values_${s}[row_${s} & 3u] * entering;`)}
  ${each((s) => `let result_${s} = row_sum(dot(next_${s}, receptance), thread);`)}
  if (own == 0u) {
    ${each((s) => `read_of[row_${s}] = result_${s};`)}
  }
  ${each((s) => `if (own_row + ${s * rowsAtOnce}u < ${n}u) { ${next!.name}[(head * ${n}u + row_${s}) * ${quads}u + own] = select(next_${s}, matrix_${s}, is_empty); }`)}
  workgroupBarrier();
  let result = vec4f(read_of[4u * own], read_of[4u * own + 1u], read_of[4u * own + 2u], read_of[4u * own + 3u]);
  let centred = result - row_sum(dot(result, vec4f(1.0)), thread) / ${float(n)};
  let squares = row_sum(dot(centred, centred), thread);
  let normed = centred / sqrt(squares / ${float(n)} + ${float(epsilon)}) * vector_3 + vector_4;
  let written = select((normed + agreement * value) * gating, vec4f(), is_empty);
  ${
    quantization
      ? wgsl`let quant_scale = scale_of(block_size(size_of(written), thread));
  if (own_row == 0u) {
    ${y!.name}[at] = quants_of(written, quant_scale);
    if (own % ${blockQuads}u == 0u) { ${y!.name}[${quantization.firstScale}u + at / ${blockQuads}u] = bitcast<u32>(quant_scale); }
  }`
      : `if (own_row == 0u) { ${y!.name}[at] = written; }`
  }`,
    }),
  };
}

function isPowerOfTwo(value: number): boolean {
  return (value & (value - 1)) === 0;
}
