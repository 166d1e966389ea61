import type { Layout } from './layout.ts';

/** Names and numbers as the official training code writes them; nothing is changed. */
export const official: Layout = {
  name: 'official',
  recognises: ({ tensors }) => tensors.has('emb.weight') && tensors.has('blocks.0.att.key.weight'),
  apply: ({ tensors }) => tensors,
};
