import { LanguageModel } from '@rwkv-js/language';
import { SessionActions } from '@rwkv-js/testing';
import type { FuzzCommand } from './fuzzer.ts';

/** Sessions of language models: see `SessionActions`. */
export const sessions: FuzzCommand = {
  name: 'sessions',
  summary: 'what is done to several sessions at once leaves each as if it were alone, bit for bit',
  unit: 'actions',
  open() {
    const actions = new SessionActions((source, options) => LanguageModel.load(source, options));
    return {
      property: (held) => actions.property(held),
      [Symbol.asyncDispose]: () => actions.dispose(),
    };
  },
};
