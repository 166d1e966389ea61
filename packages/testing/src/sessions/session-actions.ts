import { openCpu } from '@rwkv-js/core';
import type { Device } from '@rwkv-js/tensor';
import fc from 'fast-check';
import { deviceWith } from '../device-with.ts';
import { letters } from '../letters.ts';
import { specificationWeights } from '../specification-models.ts';
import { scripts, type Script } from './script.ts';
import { SessionPair } from './session-pair.ts';
import type { LoadModel, SavedState, TestedModel } from './tested-model.ts';

/** Most sessions of one script: twice as many as there are slots, or more. */
const mostSessions = 8;

/**
 * The property that sessions keep to themselves. Whatever is done to several at the same time (feed,
 * generate, score, save, restore, fork, dispose, interrupted or not), on any number of slots and steps a
 * readback, each gives and holds bit for bit what a session gives and holds that does the same alone, on a
 * device that reads back every token.
 *
 * Models are loaded once and serve all scripts; `dispose` gives them back.
 */
export class SessionActions<State extends SavedState> implements AsyncDisposable {
  readonly #load: LoadModel<State>;
  readonly #opened = new Map<string, { readonly device: Device; model: TestedModel<State> }>();

  readonly #open: () => Device | Promise<Device>;

  /**
   * @param load loads the model to test: `LanguageModel.load`
   * @param open opens the device to test; the reference device when it is left out
   */
  constructor(load: LoadModel<State>, open: () => Device | Promise<Device> = openCpu) {
    this.#load = load;
    this.#open = open;
  }

  /** @param held called with the number of actions of each script that held */
  property(held: (actions: number) => void = () => undefined): fc.IAsyncProperty<[Script]> {
    return fc.asyncProperty(scripts, async (script) => held(await this.#run(script)));
  }

  async dispose(): Promise<void> {
    for (const { model, device } of this.#opened.values()) {
      await model.dispose();
      await device.dispose();
    }
    this.#opened.clear();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #model(script: Omit<Script, 'groups'>): Promise<TestedModel<State>> {
    const { version, slots, stepsPerReadback } = script;
    const key = `${version} ${slots} ${stepsPerReadback}`;
    const known = this.#opened.get(key);
    if (known) return known.model;
    const device = deviceWith(await this.#open(), { kernels: { stepsPerReadback } });
    const source = specificationWeights(version);
    const model = await this.#load(source, { device, slots, tokenizer: letters });
    this.#opened.set(key, { device, model });
    return model;
  }

  /** Does what a script says; gives the number of actions. */
  async #run(script: Script): Promise<number> {
    const shared = await this.#model(script);
    const alone = await this.#model({ ...script, slots: 1, stepsPerReadback: 1 });
    const pairs = Array.from({ length: 3 }, () => new SessionPair(shared, alone));
    let actions = 0;
    try {
      for (const group of script.groups) {
        // A session does one thing at a time.
        const each = new Map(group.map((one) => [one.which % pairs.length, one.action]));
        const doneAlone = await Promise.all(
          [...each].map(([place, action]) => pairs[place]!.run(action)),
        );
        for (const doAlone of doneAlone) {
          const forked = await doAlone();
          if (forked) pairs.push(forked);
        }
        for (const surplus of pairs.splice(mostSessions)) await surplus.dispose();
        actions += each.size;
      }
    } finally {
      for (const pair of pairs) await pair.dispose();
    }
    return actions;
  }
}
