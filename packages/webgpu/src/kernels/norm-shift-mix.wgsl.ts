import type { KernelMaker } from '../kernel.ts';
import { float, gridOf, flatGroup, powerOfTwo, wgsl } from '../wgsl.ts';
import { reduction } from './reduce.ts';
import { findSlot } from './sequences.ts';

/**
 * The beginning of half a layer: add, layer norm, token shift, mixes; see core's composite. x and delta
 * [tokens, width], mixes [count, width], state [slots, width].
 *
 * A work group for each token, which keeps its row in registers. The row before is made again by the
 * token that needs it; of a sequence's first token it is the state, and the same work group writes the
 * state anew from the sequence's last row, so that nobody else reads or writes it. One further work group
 * for each slot carries the state of a slot without tokens.
 */
export const normShiftMix: KernelMaker = ({ inputs, attributes }, capabilities) => {
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
  const types = wide ? Object.fromEntries(places.map((place) => [place, 'array<vec4<f32>>'])) : {};
  return {
    passes: [
      {
        grid: tokens === 1 && slots === 1 ? [1, 1, 1] : gridOf(tokens + slots),
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
          const mixing = wgsl`
  for (var mix = 0u; mix < ${count}u; mix++) {
    ${loop(`${mixed!.name}[(mix * ${tokens}u + t) * ${size}u + i] = own[e] + (shifted[e] - own[e]) * ${mixes!.name}[mix * ${size}u + i];`)}
  }`;
          if (tokens === 1 && slots === 1) {
            // Decode: nothing to look for, so everything is loaded side by side.
            return {
              subgroups,
              module: reduction('total', threads, '+', subgroups),
              main: wgsl`
  let t = 0u;
  if (group.x > 0u) { return; }
  let is_empty = ${offsets!.at('1u')} == 0;
  var own: array<${type}, ${each}>;
  var shifted: array<${type}, ${each}>;
  ${loop(`shifted[e] = ${state!.name}[i];`)}
  let row = 0u;
  ${norm('own')}
  ${loop(`${out!.name}[i] = own[e]; own[e] = ${normed('own')}; ${next!.name}[i] = select(own[e], shifted[e], is_empty); if (is_empty) { shifted[e] = ${type}(); }`)}
  ${mixing}`,
            };
          }
          return {
            subgroups,
            module: `${reduction('total', threads, '+', subgroups)}
${findSlot(offsets!, slots)}
// Slot, first row and end of the sequence that the token belongs to.
var<workgroup> found: vec3u;`,
            main: wgsl`
  let t = ${flatGroup};
  if (t >= ${tokens + slots}u) { return; }
  if (thread == 0u) {
    let slot = select(t - ${tokens}u, slot_of(t), t < ${tokens}u);
    if (slot < ${slots}u) { found = vec3u(slot, u32(${offsets!.at('slot')}), u32(${offsets!.at('slot + 1u')})); }
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
  let is_first = !is_padding && t == sequence.y;
  if (is_first) {
    ${loop(`shifted[e] = ${state!.name}[sequence.x * ${size}u + i];`)}
    if (sequence.z == t + 1u) {
      ${loop(`${next!.name}[sequence.x * ${size}u + i] = own[e];`)}
    } else {
      let row = sequence.z - 1u;
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
