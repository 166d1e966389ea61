import { isPacked } from '@rwkv-js/tensor';
import type { KernelMaker } from '../kernel.ts';
import { flatGroup, float, gridOf, wgsl } from '../wgsl.ts';
import { blockQuads, firstScale, quantizing } from './quantize.wgsl.ts';
import { rowSum, shufflesRows } from './row-sum.ts';
import { offsetAt } from './sequences.ts';
import { timeMix7RecurInChunks } from './time-mix7-chunks.wgsl.ts';
import { takesChunks } from './wkv7-chunks.wgsl.ts';

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
  const sizes = { tokens, slots, heads, n };
  if (takesChunks(sizes, capabilities)) {
    // Chunks leave plain rows: quantising them is a small operation beside a long prompt.
    if (quantized) return undefined;
    return timeMix7RecurInChunks(sizes, attributes['epsilon'] as number);
  }
  const width = heads * n;
  const quads = n / 4;
  const rowsAtOnce = Math.max(1, Math.min(n, Math.floor(256 / quads)));
  const threads = rowsAtOnce * quads;
  const steps = Math.ceil(n / rowsAtOnce);
  // Vectors and sums of one token, in bytes.
  const bytes = 4 * (8 * n + 2 * quads);
  const memory = Math.min(capabilities.workgroupMemory, 40960) - 4096;
  const part = Math.max(1, Math.min(16, tokens, Math.floor(memory / bytes)));
  const shuffles = shufflesRows(quads, capabilities);
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
${rowSum(threads, quads, shuffles)}`,
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
    bounds = vec2u(${offsetAt(offsets!, 'slot', tokens)}, ${tokens}u);
    if (!is_padding) { bounds.y = ${offsetAt(offsets!, 'slot + 1u', tokens)}; }
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
