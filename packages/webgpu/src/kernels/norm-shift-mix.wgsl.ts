import { isPacked, type Attributes, type TensorSpec } from '@rwkv-js/tensor';
import type { Capabilities, KernelMaker, Pass } from '../kernel.ts';
import { float, gridOf, flatGroup, powerOfTwo, wgsl } from '../wgsl.ts';
import { blockQuads, blockSize, firstScale, quantizing } from './quantize.wgsl.ts';
import { reduction } from './reduce.ts';
import { findSlot, offsetAt } from './sequences.ts';

/**
 * The beginning of half a layer: add, layer norm, token shift, mixes; see core's composite. x and delta
 * [tokens, width], mixes [count, width], state [slots, width].
 *
 * A work group for each token, which keeps its row in registers. The row before is made again by the
 * token that needs it; of a sequence's first token it is the state, and the same work group writes the
 * state anew from the sequence's last row, so that nobody else reads or writes it. One further work group
 * for each slot carries the state of a slot without tokens. Mixed rows that are quantised are so before
 * they are written, eight threads to a block.
 */
export const normShiftMix: KernelMaker = ({ inputs, outputs, attributes }, capabilities) => {
  const [tokens, width] = inputs[0]!.shape as [number, number];
  const count = inputs[3]!.shape[0]!;
  const slots = inputs[4]!.shape[0]!;
  if (inputs.some(({ dtype }, i) => i !== 5 && dtype !== 'f32')) return undefined;
  const wide = width % 4 === 0;
  const type = wide ? 'vec4f' : 'f32';
  const size = wide ? width / 4 : width;
  const threads = powerOfTwo(size, 32, Math.min(512, capabilities.threads));
  const each = Math.ceil(size / threads);
  const subgroups = capabilities.subgroups;
  const total = (value: string): string =>
    `total(${value}, thread${subgroups ? ', lane, lanes' : ''})`;
  const sum = (value: string): string => (wide ? `dot(${value}, vec4f(1.0))` : value);
  const loop = (body: string): string => `for (var e = 0u; e < ${each}u; e++) {
    let i = thread + e * ${threads}u;
    if (i < ${size}u) { ${body} }
  }`;
  // Everything but the offsets.
  const places = Array.from({ length: inputs.length + 3 }, (_, place) => place).filter(
    (place) => place !== 5,
  );
  const mixedSpec = outputs[1]!;
  const quantized = isPacked(mixedSpec.dtype);
  const types: Record<number, string> = wide
    ? Object.fromEntries(places.map((place) => [place, 'array<vec4<f32>>']))
    : {};
  if (quantized) types[inputs.length + 1] = 'array<u32>';
  if (tokens === 1 && slots === 1 && wide) {
    return {
      passes: [ofOneToken({ width, count, types, threads, capabilities, mixedSpec, attributes })],
    };
  }
  return {
    passes: [
      {
        grid: gridOf(tokens + slots),
        threads,
        types,
        source: ({
          inputs: [x, weight, bias, mixes, state, offsets, delta],
          outputs: [out, mixed, next],
        }) => {
          const row = `row * ${size}u + i`;
          const norm = (name: string): string => wgsl`
    var ${name}_sum = 0.0;
    ${loop(`let value = ${x!.name}[${row}]${delta ? ` + ${delta.name}[${row}]` : ''}; ${name}[e] = value; ${name}_sum += ${sum('value')};`)}
    let ${name}_mean = ${total(`${name}_sum`)} / ${float(width)};
    var ${name}_squares = 0.0;
    ${loop(`let centred = ${name}[e] - ${name}_mean; ${name}_squares += ${wide ? 'dot(centred, centred)' : 'centred * centred'};`)}
    let ${name}_scale = 1.0 / sqrt(${total(`${name}_squares`)} / ${float(width)} + ${float(attributes['epsilon'] as number)});`;
          const normed = (name: string): string =>
            `((${name}[e] - ${name}_mean) * ${name}_scale * ${weight!.name}[i] + ${bias!.name}[i])`;
          const mixing = quantized
            ? wgsl`
  for (var mix = 0u; mix < ${count}u; mix++) {
    for (var e = 0u; e < ${each}u; e++) {
      let i = thread + e * ${threads}u;
      var value = vec4f();
      if (i < ${size}u) { value = own[e] + (shifted[e] - own[e]) * ${mixes!.name}[mix * ${size}u + i]; }
      let scale = scale_of(block_size(size_of(value), thread));
      if (i < ${size}u) {
        let at = (mix * ${tokens}u + t) * ${size}u + i;
        ${mixed!.name}[at] = quants_of(value, scale);
        if (i % ${blockQuads}u == 0u) { ${mixed!.name}[${firstScale(mixedSpec)}u + at / ${blockQuads}u] = bitcast<u32>(scale); }
      }
    }
  }`
            : wgsl`
  for (var mix = 0u; mix < ${count}u; mix++) {
    ${loop(`${mixed!.name}[(mix * ${tokens}u + t) * ${size}u + i] = own[e] + (shifted[e] - own[e]) * ${mixes!.name}[mix * ${size}u + i];`)}
  }`;
          return {
            subgroups,
            module: `${quantized ? quantizing + blockSize(threads, capabilities) : ''}
${reduction('total', threads, '+', subgroups)}
${findSlot(offsets!, slots)}
// Slot, first row and end of the sequence that the token belongs to.
var<workgroup> found: vec3u;`,
            main: wgsl`
  let t = ${flatGroup};
  if (t >= ${tokens + slots}u) { return; }
  if (thread == 0u) {
    let slot = select(t - ${tokens}u, slot_of(t), t < ${tokens}u);
    if (slot < ${slots}u) { found = vec3u(slot, ${offsetAt(offsets!, 'slot', tokens)}, ${offsetAt(offsets!, 'slot + 1u', tokens)}); }
    else { found = vec3u(slot, t, t); }
  }
  let sequence = workgroupUniformLoad(&found);
  if (t >= ${tokens}u) {
    if (sequence.y == sequence.z) {
      ${loop(`${next!.name}[sequence.x * ${size}u + i] = ${state!.name}[sequence.x * ${size}u + i];`)}
    }
    return;
  }
  var own: array<${type}, ${each}>;
  var shifted: array<${type}, ${each}>;
  {
    let row = t;
    ${norm('own')}
    ${loop(`${out!.name}[${row}] = own[e]; own[e] = ${normed('own')};`)}
  }
  let is_padding = sequence.x == ${slots}u;
  // Before row 0 there is none, whatever the offsets say.
  let is_first = !is_padding && (t == 0u || t == sequence.y);
  if (is_first) {
    ${loop(`shifted[e] = ${state!.name}[sequence.x * ${size}u + i];`)}
    if (sequence.z == t + 1u) {
      ${loop(`${next!.name}[sequence.x * ${size}u + i] = own[e];`)}
    } else {
      let row = max(sequence.z, 1u) - 1u;
      var final_row: array<${type}, ${each}>;
      ${norm('final_row')}
      ${loop(`${next!.name}[sequence.x * ${size}u + i] = ${normed('final_row')};`)}
    }
  } else if (!is_padding) {
    let row = t - 1u;
    ${norm('shifted')}
    ${loop(`shifted[e] = ${normed('shifted')};`)}
  }
  ${mixing}`,
          };
        },
      },
    ],
  };
};

/** Quads of a row that a work group writes where there is one token. */
const share = 64;

/**
 * One token of one sequence: nothing to look for. Several work groups make the same norm and each writes
 * its share of the row, of the state and of the mixes. Whatever is read is asked for at the beginning, so that
 * it comes while sums are made.
 */
function ofOneToken({
  width,
  count,
  types,
  threads,
  capabilities,
  mixedSpec,
  attributes,
}: {
  readonly width: number;
  readonly count: number;
  readonly types: Readonly<Record<number, string>>;
  readonly threads: number;
  readonly capabilities: Capabilities;
  readonly mixedSpec: TensorSpec;
  readonly attributes: Attributes;
}): Pass {
  const { subgroups } = capabilities;
  const quantized = isPacked(mixedSpec.dtype);
  const size = width / 4;
  const own = Array.from({ length: Math.ceil(size / threads) }, (_, e) => e);
  const written = Math.min(share, size);
  const cells = Array.from({ length: Math.ceil((written * count) / threads) }, (_, e) => e);
  const total = (name: string, value: string): string =>
    `${name}(${value}, thread${subgroups ? ', lane, lanes' : ''})`;
  return {
    grid: gridOf(Math.ceil(size / written)),
    threads,
    types,
    source: ({
      inputs: [x, weight, bias, mixes, state, offsets, delta],
      outputs: [out, mixed, next],
    }) => {
      const sumAt = (i: string): string =>
        delta ? `${x!.name}[${i}] + ${delta.name}[${i}]` : `${x!.name}[${i}]`;
      const within = (e: number, text: string): string =>
        (e + 1) * threads <= size
          ? text
          : `select(vec4f(), ${text}, thread + ${e * threads}u < ${size}u)`;
      return {
        subgroups,
        module: `${quantized ? quantizing + blockSize(threads, capabilities) : ''}${reduction('total', threads, '+', subgroups)}${reduction('total_of_squares', threads, '+', subgroups)}`,
        main: wgsl`
  let is_empty = ${offsets!.at('1u')} == 0;
  let first = group.x * ${written}u;
  ${own.map((e) => `let own_${e} = ${within(e, sumAt(`min(thread + ${e * threads}u, ${size - 1}u)`))};`).join('\n  ')}
  ${cells
    .map(
      (e) => `let cell_${e} = thread + ${e * threads}u;
  let mix_${e} = min(cell_${e} / ${written}u, ${count - 1}u);
  let at_${e} = min(first + cell_${e} % ${written}u, ${size - 1}u);
  let sum_${e} = ${sumAt(`at_${e}`)};
  let weight_${e} = ${weight!.name}[at_${e}];
  let bias_${e} = ${bias!.name}[at_${e}];
  let before_${e} = ${state!.name}[at_${e}];
  let share_${e} = ${mixes!.name}[mix_${e} * ${size}u + at_${e}];`,
    )
    .join('\n  ')}
  let mean = ${total('total', own.map((e) => `dot(own_${e}, vec4f(1.0))`).join(' + '))} / ${float(width)};
  ${own.map((e) => `let centred_${e} = ${within(e, `own_${e} - mean`)};`).join(' ')}
  let squares = ${total('total_of_squares', own.map((e) => `dot(centred_${e}, centred_${e})`).join(' + '))};
  let scale = 1.0 / sqrt(squares / ${float(width)} + ${float(attributes['epsilon'] as number)});
  // The state is written where it was read.
  storageBarrier();
  ${cells
    .map(
      (e) => wgsl`let normed_${e} = (sum_${e} - mean) * scale * weight_${e} + bias_${e};
  let value_${e} = normed_${e} + (select(before_${e}, vec4f(), is_empty) - normed_${e}) * share_${e};
  ${quantized ? `let scale_${e} = scale_of(block_size(size_of(value_${e}), thread));` : ''}
  if (cell_${e} < ${written * count}u && first + cell_${e} % ${written}u < ${size}u) {
    let place = mix_${e} * ${size}u + at_${e};
    ${
      quantized
        ? `${mixed!.name}[place] = quants_of(value_${e}, scale_${e});
    if (place % ${blockQuads}u == 0u) { ${mixed!.name}[${firstScale(mixedSpec)}u + place / ${blockQuads}u] = bitcast<u32>(scale_${e}); }`
        : `${mixed!.name}[place] = value_${e};`
    }
    if (cell_${e} < ${written}u) {
      ${out!.name}[at_${e}] = sum_${e};
      ${next!.name}[at_${e}] = select(normed_${e}, before_${e}, is_empty);
    }
  }`,
    )
    .join('\n  ')}`,
      };
    },
  };
}
