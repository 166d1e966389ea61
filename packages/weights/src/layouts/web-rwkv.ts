import type { FileContents, Layout } from './layout.ts';
import { renamed, type NameLine } from './names.ts';
import { transpose } from './transforms.ts';

const tunedState = ['blocks.{i}.att.time_state', 'blocks.{i}.att.time_state', transpose] as const;

/**
 * web-rwkv's converter (`.st`, a safetensors file of f16): it renames substrings and transposes the
 * low-rank factors. RWKV-4 files come out of it as they went in. Specification, web-rwkv.
 */
const names = {
  // The bonus itself, which official files call time_faaaa; their time_first is its logarithm.
  '5': [['blocks.{i}.att.time_first', 'blocks.{i}.att.time_faaaa'], tunedState],
  '6': [
    ['blocks.{i}.att.time_first', 'blocks.{i}.att.time_faaaa'],
    ['blocks.{i}.att.time_mix_{x,w,k,v,r,g}', 'blocks.{i}.att.time_maa_{x,w,k,v,r,g}'],
    ['blocks.{i}.att.time_mix_{w1,w2}', 'blocks.{i}.att.time_maa_{w1,w2}', transpose],
    ['blocks.{i}.att.time_decay_{w1,w2}', 'blocks.{i}.att.time_decay_{w1,w2}', transpose],
    ['blocks.{i}.ffn.time_mix_{k,r}', 'blocks.{i}.ffn.time_maa_{k,r}'],
    tunedState,
  ],
  '7': [['blocks.{i}.att.{w,a,v,g}{1,2}', 'blocks.{i}.att.{w,a,v,g}{1,2}', transpose], tunedState],
} as const satisfies Readonly<Record<string, readonly NameLine[]>>;

export const webRwkv: Layout = {
  name: 'web-rwkv',
  recognises: (contents) => versionOf(contents) !== undefined,
  apply(contents) {
    const version = versionOf(contents);
    return version ? renamed(contents, names[version], webRwkv.name) : contents.tensors;
  },
};

/** The generation of a converted file; undefined for files in official form. */
function versionOf({ tensors, container }: FileContents): keyof typeof names | undefined {
  if (container !== 'safetensors') return undefined;
  const shape = (name: string): readonly number[] | undefined => tensors.get(name)?.shape;
  const att = (name: string): readonly number[] | undefined => shape(`blocks.0.att.${name}`);
  if (att('time_mix_w1')) return '6';
  const width = shape('emb.weight')?.[1];
  const down = att('w1');
  // A rank is never the width (specification, traps).
  if (att('r_k') && down?.length === 2 && down[1] === width && down[0] !== width) return '7';
  // Official files of 5.0 and 5.1 that have time_first have one number for a head.
  const perChannel = (att('time_first') ?? []).filter((size) => size !== 1).length > 1;
  return perChannel && att('gate.weight') ? '5' : undefined;
}
