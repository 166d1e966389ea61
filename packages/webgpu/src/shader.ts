import type { TensorSpec } from '@rwkv-js/tensor';
import { Argument } from './argument.ts';
import { boundBytes } from './kernel.ts';
import type { Pass } from './kernel.ts';

/** How one buffer stands among a shader's bindings. */
export interface Binding {
  /** Arguments that lie in it, by place: inputs first, then outputs. More than one when in place. */
  readonly arguments: readonly number[];
  readonly access: 'read' | 'read_write';
}

/** A shader and what must be bound for it. */
export interface Shader {
  readonly code: string;
  readonly access: readonly Binding['access'][];
}

/** The shader of a pass. */
export interface PassShader extends Shader {
  /** The bindings that it has, those that its pass touches. */
  readonly bindings: readonly Binding[];
  /** Whether the working memory follows them. */
  readonly scratch: boolean;
}

/**
 * The whole text of a pass: bindings, accessors, the kernel's own text, the entry point.
 *
 * @returns undefined for a pass that has nothing to do
 * @param placed which arguments lie together; the working memory, where there is any, follows them
 */
export function shaderOf(
  pass: Pass,
  inputs: readonly TensorSpec[],
  outputs: readonly TensorSpec[],
  placed: readonly Binding[],
  scratchBytes: number,
): PassShader | undefined {
  const { uses } = pass;
  const bindings = placed.filter((one) =>
    one.arguments.some((place) => uses?.arguments.includes(place) ?? true),
  );
  const scratchType = scratchBytes === 0 ? undefined : uses ? uses.scratch : 'f32';
  const specs = [...inputs, ...outputs];
  const names = new Map<number, string>();
  for (const { arguments: places } of bindings) {
    for (const place of places) names.set(place, `t${places[0]}`);
  }
  const all = specs.map(
    (spec, i) => new Argument(spec, names.get(i) ?? 'unbound', pass.types?.[i]),
  );
  const {
    module = '',
    main,
    subgroups,
    subgroupMatrices,
  } = pass.source({
    inputs: all.slice(0, inputs.length),
    outputs: all.slice(inputs.length),
    scratch: 'scratch',
  });
  if (main === '') return undefined;
  const declared = bindings.map(
    ({ arguments: places, access }, i) =>
      `@group(0) @binding(${i}) var<storage, ${access}> t${places[0]}: ${sized(all[places[0]!]!)};`,
  );
  if (scratchType) {
    const count = Math.ceil(scratchBytes / elementBytes(scratchType));
    declared.push(
      `@group(0) @binding(${declared.length}) var<storage, read_write> scratch: array<${scratchType}, ${count}>;`,
    );
  }
  const accessors = bindings.map(({ arguments: places }) => all[places[0]!]!.accessors());
  const builtins = [
    '@builtin(workgroup_id) group: vec3<u32>',
    '@builtin(local_invocation_index) thread: u32',
    ...(subgroups || subgroupMatrices ? ['@builtin(subgroup_invocation_id) lane: u32'] : []),
    ...(subgroups ? ['@builtin(subgroup_size) lanes: u32'] : []),
    ...(subgroupMatrices ? ['@builtin(subgroup_id) subgroup: u32'] : []),
  ];
  const enabled = [
    ...(subgroups || subgroupMatrices ? ['subgroups'] : []),
    ...(subgroupMatrices ? ['f16', 'chromium_experimental_subgroup_matrix'] : []),
  ];
  const code = `${enabled.map((name) => `enable ${name};\n`).join('')}${declared.join('\n')}
${accessors.join('')}${module}
@compute @workgroup_size(${pass.threads})
fn main(${builtins.join(', ')}) {
${main}
}
`;
  const access = bindings.map((binding) => binding.access);
  const scratch = scratchType !== undefined;
  return { code, access: scratch ? [...access, 'read_write'] : access, bindings, scratch };
}

/** Bytes of an element that arguments are bound as. */
function elementBytes(type: string): number {
  return type.startsWith('vec4') ? 16 : type.startsWith('vec2') ? 8 : 4;
}

/**
 * An argument's array with its length. Every place is kept within an array, and for one whose length stands in
 * the text that takes no look at the binding.
 */
function sized({ spec, type }: Argument): string {
  const element = type.slice('array<'.length, -1);
  return `array<${element}, ${boundBytes(spec) / elementBytes(element)}>`;
}
