import type { Parameters } from '@rwkv-js/tensor';

/** Parameters that several models hold; the last one that lets go gives them back. */
export class SharedParameters {
  readonly #parameters: Parameters;
  #holders = 0;

  constructor(parameters: Parameters) {
    this.#parameters = parameters;
  }

  /** The parameters for one more holder, whose `dispose` lets go of them. */
  hold(): Parameters {
    this.#holders++;
    let held = true;
    return {
      tensors: this.#parameters.tensors,
      byteLength: this.#parameters.byteLength,
      dispose: () => {
        if (!held) return;
        held = false;
        if (--this.#holders === 0) this.#parameters.dispose();
      },
    };
  }
}
