import { openCpu } from '@rwkv-js/core';
import { deviceWith, letters, specificationWeights } from '@rwkv-js/testing';
import { DeviceError, type Device, type DeviceTensor } from '@rwkv-js/tensor';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import type { GenerateOptions, Generation } from './generation.ts';
import { LanguageModel } from './model.ts';
import type { Session } from './session.ts';

const open = { stopTokens: [], maxTokens: 30, seed: 5 } as const;
const greedy = { ...open, temperature: 0, presencePenalty: 0, frequencyPenalty: 0 } as const;
const penalised = { ...open, presencePenalty: 0.7, frequencyPenalty: 0.4, penaltyDecay: 0.9 };

/** What a device did, and what is to happen while it works. */
interface Watch {
  /** Steps that were queued, and times that the host waited for what they gave. */
  steps: number;
  readbacks: number;
  /** Called before each step. */
  onStep?: (() => void) | undefined;
  /** Called before each reading of a tensor. */
  onRead?: ((tensor: DeviceTensor) => void) | undefined;
}

interface World {
  readonly device: Device;
  readonly model: LanguageModel;
  readonly watch: Watch;
}

/** Device and model stay open for all tests; those that dispose them open their own. */
const opened = new Map<string, Promise<World>>();

interface WorldOptions {
  readonly slots?: number | undefined;
  readonly version?: '4' | '6' | '7' | undefined;
}

/** A model on a device that reads back once for `stepsPerReadback` steps. */
function world(stepsPerReadback: number, options: WorldOptions = {}): Promise<World> {
  const key = JSON.stringify([stepsPerReadback, options]);
  const known = opened.get(key) ?? openWorld(stepsPerReadback, options);
  opened.set(key, known);
  return known;
}

async function openWorld(
  stepsPerReadback: number,
  { slots = 8, version = '7' }: WorldOptions = {},
): Promise<World> {
  const watch: Watch = { steps: 0, readbacks: 0 };
  const device = deviceWith(openCpu(), {
    kernels: { stepsPerReadback },
    executable: (own) => ({
      run: (inputs) => {
        watch.onStep?.();
        watch.steps += 1;
        own.run(inputs);
      },
    }),
    read: (own) => async (tensor, range) => {
      watch.onRead?.(tensor);
      // A range of it is read when a sequence makes room.
      if (tensor.label === 'sampler.drawn' && !range) watch.readbacks += 1;
      return own(tensor, range);
    },
  });
  const model = await LanguageModel.load(specificationWeights(version), {
    device,
    tokenizer: letters,
    slots,
  });
  return { device, model, watch };
}

afterEach(async () => {
  for (const { watch } of await Promise.all(opened.values())) {
    watch.onStep = undefined;
    watch.onRead = undefined;
  }
});

afterAll(async () => {
  for (const { model, device } of await Promise.all(opened.values())) {
    await model.dispose();
    await device.dispose();
  }
});

/** Begins to count anew. */
function reset({ watch }: World): Watch {
  return Object.assign(watch, { steps: 0, readbacks: 0 });
}

async function begun({ model }: World, prompt = 'bcd'): Promise<Session> {
  const session = model.session();
  await session.feed(prompt);
  return session;
}

/** Reads a generation until it ends or `pieces` have come. */
async function read(generation: Generation, pieces = Infinity): Promise<string> {
  let text = '';
  let count = 0;
  for await (const piece of generation) {
    text += piece;
    count += 1;
    if (count === pieces) break;
  }
  return text;
}

/** Everything that a generation leaves behind, and what the session makes of it. */
async function after(session: Session, generation: Generation): Promise<unknown> {
  const state = await session.save();
  const further = session.generate({ ...penalised, prompt: 'k', maxTokens: 9 });
  return {
    state,
    tokenCount: session.tokenCount,
    tokens: [...generation.tokens],
    finishReason: generation.finishReason,
    further: await further.text(),
  };
}

/** The same writing on a device that reads back every token and on others: all leaves the same. */
async function expectEqual(
  options: GenerateOptions,
  { pieces, version }: { pieces?: number; version?: '4' | '6' | '7' } = {},
): Promise<string> {
  const results = [];
  for (const steps of [1, 2, 3, 8]) {
    const here = await world(steps, { version });
    const session = await begun(here);
    const generation = session.generate(options);
    const text = await read(generation, pieces);
    results.push({ text, ...((await after(session, generation)) as object) });
  }
  const [first, ...others] = results;
  for (const other of others) expect(other).toEqual(first);
  return first.text;
}

describe('what is written in bursts', () => {
  test.each(['4', '6', '7'] as const)(
    'is what is written token by token, and leaves the same state: RWKV-%s',
    async (version) => {
      expect(await expectEqual(greedy, { version })).toHaveLength(30);
      expect(await expectEqual(penalised, { version })).toHaveLength(30);
      expect(await expectEqual({ ...penalised, maxTokens: 1 }, { version })).toHaveLength(1);
    },
  );

  test('ends at a stop string wherever it lies in a burst', async () => {
    const whole = await expectEqual(penalised);
    for (let at = 0; at < 10; at++) {
      const stop = whole.slice(at, at + 2);
      const text = await expectEqual({ ...penalised, stop: [stop] });
      expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
    }
  });

  test('ends at a stop token wherever it lies in a burst', async () => {
    const whole = await expectEqual(penalised);
    for (const stop of new Set(whole)) {
      const text = await expectEqual({ ...penalised, stopTokens: [stop.charCodeAt(0) - 97] });
      expect(text).toBe(whole.slice(0, whole.indexOf(stop)));
    }
  });

  test('stays where its reader stops', async () => {
    const whole = await expectEqual(penalised);
    for (let pieces = 1; pieces < 10; pieces++) {
      expect(await expectEqual(penalised, { pieces })).toBe(whole.slice(0, pieces));
    }
  });

  test('goes on from a first token that was drawn on the host', async () => {
    const texts = [];
    for (const steps of [1, 8]) {
      const session = await begun(await world(steps));
      await session.logits();
      texts.push(await session.generate(penalised).text());
    }
    expect(texts[1]).toBe(texts[0]);
  });
});

describe('an abort', () => {
  test('between two pieces of a burst leaves what was given', async () => {
    for (let pieces = 1; pieces < 10; pieces++) {
      const left = [];
      for (const steps of [1, 8]) {
        const session = await begun(await world(steps));
        const controller = new AbortController();
        const generation = session.generate({ ...penalised, signal: controller.signal });
        let text = '';
        const reading = (async () => {
          for await (const piece of generation) {
            text += piece;
            if (text.length === pieces) controller.abort();
          }
        })();
        await expect(reading).rejects.toMatchObject({ name: 'AbortError' });
        expect(text).toHaveLength(pieces);
        left.push(await after(session, generation));
      }
      expect(left[1]).toEqual(left[0]);
    }
  });

  test('while a burst runs leaves its first token, like one while a step runs', async () => {
    const left = [];
    for (const steps of [1, 8]) {
      const here = await world(steps);
      const session = await begun(here);
      const controller = new AbortController();
      const generation = session.generate({ ...penalised, signal: controller.signal });
      here.watch.onStep = () => controller.abort();
      await expect(generation.text()).rejects.toMatchObject({ name: 'AbortError' });
      here.watch.onStep = undefined;
      expect(generation.tokens).toHaveLength(1);
      left.push(await after(session, generation));
    }
    expect(left[1]).toEqual(left[0]);
  });
});

describe('a session that is disposed within a burst', () => {
  test('writes no further, whether the burst runs or its pieces are read; others do', async () => {
    const here = await world(8);
    const alone = await (await begun(here)).generate(penalised).text();
    for (const when of ['runs', 'is read'] as const) {
      const [session, other] = [await begun(here), await begun(here)];
      const text = other.generate(penalised).text();
      const generation = session.generate(penalised);
      const reading = (async () => {
        for await (const _ of generation) if (when === 'is read') await session.dispose();
      })();
      if (when === 'runs') here.watch.onStep = () => void session.dispose();
      await expect(reading).rejects.toThrow('on a session that was disposed');
      here.watch.onStep = undefined;
      expect(generation.tokens.length).toBeLessThan(2);
      expect(await text).toBe(alone);
    }
  });

  test('with its model neither hangs nor writes further', async () => {
    const here = await openWorld(8);
    const session = await begun(here);
    const generation = session.generate(penalised);
    const reading = (async () => {
      for await (const _ of generation) await here.model.dispose();
    })();
    await expect(reading).rejects.toThrow('the model was disposed');
    expect(generation.tokens).toHaveLength(1);
  });

  test('by its reader, who then leaves, is no error', async () => {
    const here = await openWorld(8);
    const session = await begun(here);
    for await (const _ of session.generate(penalised)) {
      await session.dispose();
      break;
    }
    const other = await begun(here);
    for await (const _ of other.generate(penalised)) {
      await here.model.dispose();
      break;
    }
  });
});

describe('sessions that write at the same time', () => {
  const each = Array.from({ length: 8 }, (_, i) => ({
    prompt: 'bcdefghijkl'.slice(i),
    options: {
      ...(i % 3 === 0 ? greedy : penalised),
      seed: i,
      temperature: i % 3 === 0 ? 0 : 0.5 + i / 8,
      maxTokens: 20 + i,
      stop: i % 2 === 0 ? ['b', 'gk'] : [],
    },
  }));

  async function alone(): Promise<string[]> {
    const here = await world(1, { slots: 1 });
    const texts = [];
    for (const { prompt, options } of each) {
      texts.push(await (await begun(here, prompt)).generate(options).text());
    }
    return texts;
  }

  test.each([8, 3, 1])('share bursts and keep their own settings, with %i slots', async (slots) => {
    const here = await world(5, { slots });
    const texts = await Promise.all(
      each.map(async ({ prompt, options }) => {
        const session = here.model.session();
        const text = await session.generate({ ...options, prompt }).text();
        // What the state is worth after a late stop shows in what comes next.
        return [text, await session.generate({ ...greedy, prompt: 'c', maxTokens: 7 }).text()];
      }),
    );
    const expected = await alone();
    expect(texts.map(([text]) => text)).toEqual(expected);
    const single = await world(1, { slots: 1 });
    for (const [i, { prompt, options }] of each.entries()) {
      const session = single.model.session();
      await session.generate({ ...options, prompt }).text();
      const next = await session.generate({ ...greedy, prompt: 'c', maxTokens: 7 }).text();
      expect(texts[i][1]).toBe(next);
    }
  });

  test('who made room while its burst was being read goes back to its checkpoint', async () => {
    const left = [];
    for (const steps of [1, 8]) {
      const here = await world(steps, { slots: 1 });
      const session = await begun(here);
      const generation = session.generate(penalised);
      const pieces = generation[Symbol.asyncIterator]();
      await pieces.next();
      await pieces.next();
      await (await begun(here, 'ijk')).generate(penalised).text();
      await pieces.return(undefined);
      left.push(await after(session, generation));
    }
    expect(left[1]).toEqual(left[0]);
  });
});

describe('steps and readbacks', () => {
  /** What so many sessions take that write `maxTokens` each at the same time. */
  async function counted(here: World, sessions: number, maxTokens: number): Promise<object> {
    const all = await Promise.all(Array.from({ length: sessions }, () => begun(here)));
    reset(here);
    await Promise.all(all.map((one) => one.generate({ ...open, maxTokens }).text()));
    const { steps, readbacks } = here.watch;
    return { steps, readbacks };
  }

  test.each([
    [1, 16, { steps: 16, readbacks: 16 }],
    [2, 16, { steps: 16, readbacks: 8 }],
    [8, 16, { steps: 16, readbacks: 2 }],
    [8, 13, { steps: 13, readbacks: 2 }],
    [8, 3, { steps: 3, readbacks: 1 }],
  ])(
    '%i steps a readback, %i tokens each: as many steps as tokens, readbacks as few as that makes',
    async (steps, maxTokens, expected) => {
      const here = await world(steps);
      expect(await counted(here, 1, maxTokens)).toEqual(expected);
      expect(await counted(here, 8, maxTokens)).toEqual(expected);
    },
  );

  test('a stop found late costs the rest of its burst and one step that feeds what stays', async () => {
    const here = await world(8);
    const whole = await (await begun(here)).generate(penalised).text();
    const session = await begun(here);
    reset(here);
    const generation = session.generate({ ...penalised, stop: [whole.slice(0, 5)] });
    await generation.text();
    expect(generation.tokens).toHaveLength(5);
    // Four of the five went through since the checkpoint, which lies behind the first step.
    expect(here.watch).toMatchObject({ steps: 8 + 1, readbacks: 1 + 1 });
  });

  test('where the first token is the last, nothing needs feeding', async () => {
    const here = await world(8);
    const whole = await (await begun(here)).generate(penalised).text();
    const session = await begun(here);
    reset(here);
    await session.generate({ ...penalised, stop: [whole[0]] }).text();
    expect(here.watch).toMatchObject({ steps: 8, readbacks: 1 });
  });

  test('nobody waits for a burst while prompts are read: steps are read back one by one', async () => {
    const here = await world(8);
    const [writer, reader] = [await begun(here), here.model.session()];
    reset(here);
    const writing = writer.generate({ ...open, maxTokens: 16 }).text();
    // 64 tokens a step, of which one is the writer's: 3 steps for 189 tokens, the last stays pending.
    const reading = reader.feed(Array.from({ length: 190 }, (_, i) => i % 12));
    await reading;
    expect(here.watch).toMatchObject({ steps: 3, readbacks: 3 });
    await writing;
    // The 13 that were left: 8 and 5.
    expect(here.watch).toMatchObject({ steps: 16, readbacks: 5 });
  });

  test('a prompt that arrives within a burst waits for its end at most', async () => {
    const here = await world(8);
    const [writer, reader] = [await begun(here), here.model.session()];
    reset(here);
    let reading: Promise<void> | undefined;
    here.watch.onStep = () => (reading ??= reader.feed('bcdefgh'));
    const writing = writer.generate({ ...open, maxTokens: 64 }).text();
    while (!reading) await new Promise((resolve) => setImmediate(resolve));
    await reading;
    // The burst, then two steps of four rows: three of the reader's six tokens and one of the writer's.
    expect(here.watch).toMatchObject({ steps: 8 + 2, readbacks: 1 + 2 });
    await writing;
    // The other 54 tokens: six bursts of 8 and one of 6.
    expect(here.watch).toMatchObject({ steps: 64, readbacks: 3 + 7 });
  });

  test('scores and logits come step by step', async () => {
    const here = await world(8);
    const [writer, scorer] = [await begun(here), await begun(here)];
    reset(here);
    const [text, scores] = await Promise.all([
      writer.generate({ ...open, maxTokens: 4 }).text(),
      scorer.score('efghe'),
    ]);
    expect(text).toBe(
      await (await begun(await world(1))).generate({ ...open, maxTokens: 4 }).text(),
    );
    expect(scores).toEqual(await (await begun(await world(1))).score('efghe'));
  });
});

describe('what goes wrong in a burst', () => {
  test('numbers that are none end it after the tokens before them, and the state goes back', async () => {
    const whole = await (await begun(await world(1))).generate(penalised).text();
    for (const place of [1, 3, 6]) {
      const here = await openWorld(8);
      const session = await begun(here);
      let shifted: DeviceTensor | undefined;
      here.watch.onRead = (tensor) => {
        if (tensor.label === 'state.0.att_x') shifted = tensor;
      };
      await session.save();
      reset(here);
      here.watch.onStep = () => {
        if (here.watch.steps !== place) return;
        here.device.write(shifted!, new Float32Array(8 * 16).fill(NaN));
      };
      const generation = session.generate(penalised);
      await expect(generation.text()).rejects.toThrow('gave no number for any token');
      expect(generation.tokens).toHaveLength(place);
      // The last token that was accepted has gone through.
      const straight = await begun(await world(1), `bcd${whole.slice(0, place)}`);
      await straight.logits();
      expect((await session.save()).tensors).toEqual((await straight.save()).tensors);
      await here.model.dispose();
    }
  });

  test('a device that fails while a session goes back leaves it lost, and says so', async () => {
    const here = await world(8);
    const session = await begun(here);
    const saved = await session.save();
    const reading = (async () => {
      let count = 0;
      for await (const _ of session.generate(penalised)) {
        count += 1;
        if (count < 3) continue;
        here.watch.onRead = () => {
          throw new DeviceError('the card fell off the bus');
        };
        break;
      }
    })();
    await reading;
    here.watch.onRead = undefined;
    await expect(session.logits()).rejects.toThrow(
      'logits on a session whose state was lost when the device failed (the card fell off the bus)',
    );
    await session.restore(saved);
    expect(await session.generate(greedy).text()).toBe(
      await (await begun(await world(1))).generate(greedy).text(),
    );
  });

  test('a second copy that does not fit is told when the model is loaded, and nothing stays', async () => {
    const inner = openCpu();
    let allocated = 0;
    const device: Device = new Proxy(deviceWith(inner, { kernels: { stepsPerReadback: 8 } }), {
      get(target, property) {
        if (property !== 'allocate') return Reflect.get(target, property) as unknown;
        return (...given: Parameters<Device['allocate']>) => {
          if (given[1]?.label?.startsWith('checkpoint of state.1')) {
            throw new DeviceError('no memory');
          }
          const tensor = target.allocate(...given);
          allocated += 1;
          const free = tensor.dispose.bind(tensor);
          tensor.dispose = () => {
            if (!tensor.disposed) allocated -= 1;
            free();
          };
          return tensor;
        };
      },
    });
    await expect(LanguageModel.load(specificationWeights('7'), { device })).rejects.toThrow(
      'no memory',
    );
    expect(allocated).toBe(0);
  });
});
