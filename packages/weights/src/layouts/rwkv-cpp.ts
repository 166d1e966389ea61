import type { Layout } from './layout.ts';
import { checkHas, renamed, type NameLine } from './names.ts';
import { flatten, transpose, undoExpNegativeExp, undoNegativeExp } from './transforms.ts';

/** Its names are the official ones; these are the tensors whose elements or forms are not. */
type Version = '4' | '5' | '6' | '7';

const names: Readonly<Record<Version, readonly NameLine[]>> = {
  // Specification, names of RWKV-4.
  '4': [['blocks.{i}.att.time_decay', 'blocks.{i}.att.time_decay', undoNegativeExp]],
  // Specification, RWKV-5 in rwkv.cpp: time_first is exp(x), which official files call time_faaaa.
  '5': [
    ['blocks.{i}.att.time_decay', 'blocks.{i}.att.time_decay', undoExpNegativeExp],
    ['blocks.{i}.att.time_first', 'blocks.{i}.att.time_faaaa'],
  ],
  // Specification, names of RWKV-6 in rwkv.cpp.
  '6': [
    ['blocks.{i}.att.time_maa_{w1,w2}', 'blocks.{i}.att.time_maa_{w1,w2}', transpose],
    ['blocks.{i}.att.time_decay', 'blocks.{i}.att.time_decay', flatten],
    ['blocks.{i}.att.time_decay_{w1,w2}', 'blocks.{i}.att.time_decay_{w1,w2}', transpose],
  ],
  // Specification, names of RWKV-7.
  '7': [
    ['blocks.{i}.att.x_rwkvag', 'blocks.{i}.att.x_[r,w,k,v,a,g]'],
    // Layer 0 gives the first value and mixes none in.
    ['blocks.0.att.v{0,1,2}', undefined],
    ['blocks.{i}.att.{w,a,v,g}{1,2}', 'blocks.{i}.att.{w,a,v,g}{1,2}', transpose],
  ],
};

/**
 * rwkv.cpp's converter. Its engine normalises the heads of RWKV-5 with an epsilon of 1e−5; models that
 * were trained with the official code want 64e−5, so that stays, and whoever must reproduce rwkv.cpp
 * says 1e−5 (specification, traps).
 */
export const rwkvCpp: Layout = {
  name: 'rwkv.cpp',
  recognises: ({ container, tensors }) =>
    container === 'rwkv.cpp' && tensors.has('blocks.0.att.key.weight'),
  apply(contents) {
    checkHas(contents, 'blocks.0.ln0.weight', rwkvCpp.name);
    const has = (name: string): boolean => contents.tensors.has(`blocks.0.att.${name}`);
    const version = has('r_k') ? '7' : has('time_maa_x') ? '6' : has('ln_x.weight') ? '5' : '4';
    return renamed(contents, names[version], rwkvCpp.name);
  },
};
