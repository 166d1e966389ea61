import { openCpu } from '@rwkv-js/core';
import { deviceWith, SessionActions, specificationWeights } from '@rwkv-js/testing';
import { DeviceError, type Device } from '@rwkv-js/tensor';
import { openWasm } from '@rwkv-js/wasm';
import fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { LanguageModel } from './model.ts';
import type { Session } from './session.ts';
import type { SessionState } from './session-state.ts';

/** Sessions keep their promises on every device, and on threads. */
const devices: readonly { name: string; open: () => Device | Promise<Device> }[] = [
  { name: 'the reference device', open: () => openCpu() },
  { name: 'wasm on one thread', open: () => openWasm({ threads: 1 }) },
  { name: 'wasm on two threads', open: () => openWasm({ threads: 2 }) },
];

describe.each(devices)('on $name', ({ open: openDevice }) => {
  let device: Device;
  let model: LanguageModel;

  beforeEach(async () => {
    device = await openDevice();
    model = await LanguageModel.load(specificationWeights('6'), { device, slots: 3 });
  });

  afterEach(async () => {
    await model.dispose();
    await device.dispose();
  });

  async function logitsOf(tokens: readonly number[]): Promise<Float32Array> {
    const session = model.session();
    await session.feed(tokens);
    const logits = await session.logits();
    await session.dispose();
    return logits;
  }

  describe('a session', () => {
    test('refuses tokens that the model does not have and stays as it was', async () => {
      const session = model.session();
      await session.feed([1, 2]);
      for (const bad of [-1, 12, 1.5, NaN]) {
        await expect(session.feed([3, bad])).rejects.toThrow(
          `token ${bad} at place 1 is none of this model's, which are whole numbers from 0 to 11`,
        );
      }
      expect(session.tokenCount).toBe(2);
      expect(await session.logits()).toEqual(await logitsOf([1, 2]));
    });

    test('refuses text without a tokenizer', async () => {
      await expect(model.session().feed('hello')).rejects.toThrow(
        'this model was loaded without a tokenizer and was given text',
      );
    });

    test('takes an empty prompt as nothing', async () => {
      const session = model.session();
      await session.feed([]);
      expect(session.tokenCount).toBe(0);
      await expect(session.logits()).rejects.toThrow('has read nothing yet');
      await expect(session.score([1])).rejects.toThrow('has read nothing yet');
    });

    test('gives the logits after every token as after each prefix', async () => {
      const tokens = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3, 2, 3, 8, 4, 6];
      const session = model.session();
      const rows: Float32Array[] = [];
      await session.feedWithLogits(tokens, (row, index) => {
        expect(index).toBe(rows.length);
        rows.push(row);
      });
      expect(rows).toHaveLength(tokens.length);
      for (const length of [1, 2, 16, 17, 21]) {
        expect(rows[length - 1]).toEqual(await logitsOf(tokens.slice(0, length)));
      }
      expect(await session.logits()).toEqual(rows.at(-1));
    });

    test('scores tokens by the logits before them, whether those are known or pending', async () => {
      const tokens = [3, 1, 4, 1, 5];
      const expected: number[] = [];
      for (const [i, token] of tokens.entries()) {
        const logits = await logitsOf([0, ...tokens.slice(0, i)]);
        const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
        expected.push(logits[token]! - Math.log(total));
      }
      const pending = model.session();
      await pending.feed([0]);
      const known = model.session();
      await known.feed([0]);
      await known.logits();
      const pieces = model.session();
      await pieces.feed([0]);
      const joined = [
        ...(await pieces.score([3])),
        ...(await pieces.score([1, 4])),
        ...(await pieces.score([1, 5])),
      ];
      for (const scores of [await pending.score(tokens), await known.score(tokens), joined]) {
        scores.forEach((score, i) => expect(score).toBeCloseTo(expected[i]!, 5));
      }
      expect(await known.logits()).toEqual(await logitsOf([0, ...tokens]));
      expect(await pieces.logits()).toEqual(await logitsOf([0, ...tokens]));
    });

    test('does one thing at a time', async () => {
      const session = model.session();
      const first = session.feed([1, 2, 3]);
      await expect(session.logits()).rejects.toThrow('logits while this session is busy with feed');
      await first;
      expect(await session.logits()).toEqual(await logitsOf([1, 2, 3]));
    });

    test('refuses everything after it was disposed, and a second dispose does nothing', async () => {
      const session = model.session();
      await session.feed([1]);
      await session.dispose();
      await session.dispose();
      await expect(session.feed([1])).rejects.toThrow('feed on a session that was disposed');
      await expect(session.save()).rejects.toThrow('save on a session that was disposed');
    });

    test('of a disposed model says so; what waits is told', async () => {
      const session = model.session();
      const waiting = expect(session.feed(Array.from({ length: 500 }, () => 1))).rejects.toThrow(
        'the model was disposed',
      );
      await model.dispose();
      await model.dispose();
      await waiting;
      await expect(session.feed([1, 2])).rejects.toThrow('the model was disposed; load it again');
    });

    test('stops reading within a step when it is aborted and keeps what it read', async () => {
      const tokens = Array.from({ length: 300 }, (_, i) => i % 12);
      for (const steps of [0, 1, 3]) {
        const session = model.session();
        await session.feed([5]);
        const controller = new AbortController();
        let seen = 0;
        if (steps === 0) controller.abort();
        const feeding = session.feed(tokens, {
          signal: controller.signal,
          progress: () => {
            seen += 1;
            if (seen === steps) controller.abort();
          },
        });
        await expect(feeding).rejects.toMatchObject({ name: 'AbortError' });
        const read = session.tokenCount;
        expect(read).toBeLessThan(300);
        await session.feed([7]);
        const straight = await logitsOf([...[5, ...tokens].slice(0, read), 7]);
        expect(await session.logits()).toEqual(straight);
      }
    });

    test('refuses a state of other sizes and stays as it was', async () => {
      const session = model.session();
      await session.feed([1, 2]);
      const saved = await session.save();
      const tensors = new Map(saved.tensors);
      tensors.set('state.0.wkv', new Float32Array(3));
      const damaged: SessionState = { ...saved, tensors };
      await expect(session.restore(damaged)).rejects.toThrow(
        "a saved state has 3 elements of 'state.0.wkv' and the model keeps 128",
      );
      await expect(session.restore({ ...saved, kind: 'rwkv-4 1x2' })).rejects.toThrow(
        'a state of rwkv-4 1x2 was given to rwkv-6 2x16',
      );
      expect(() => model.session({ state: damaged })).toThrow('the state is damaged');
      expect(await session.logits()).toEqual(await logitsOf([1, 2]));
    });

    test('is lost when a step fails, says so, and takes a saved state again', async () => {
      const flaky = failingDevice(device);
      await using other = await LanguageModel.load(specificationWeights('6'), {
        device: flaky.device,
      });
      const session = other.session();
      await session.feed([1, 2, 3]);
      const saved = await session.save();
      const bystander = other.session();
      await bystander.feed([4, 5]);

      flaky.fail = true;
      await expect(session.feed([4, 5])).rejects.toThrow('the card fell off the bus');
      flaky.fail = false;
      await expect(session.logits()).rejects.toThrow(
        'logits on a session whose state was lost when the device failed (the card fell off the bus)',
      );
      await session.restore(saved);
      expect(await session.logits()).toEqual(await logitsOf([1, 2, 3]));
      expect(await bystander.logits()).toEqual(await logitsOf([4, 5]));
    });
  });

  describe('what goes wrong outside the model', () => {
    const mine = (): never => {
      throw new Error('mine');
    };

    test("is its caller's alone: others go on, and nothing is lost", async () => {
      const [session, other] = [model.session(), model.session()];
      const tokens = Array.from({ length: 100 }, () => 5);
      const together = [
        session.feed(tokens, { progress: mine }),
        other.feedWithLogits([1, 2, 3], () => undefined),
      ];
      await expect(together[0]).rejects.toThrow('mine');
      await together[1];
      await expect(other.feedWithLogits([4], mine)).rejects.toThrow('mine');
      expect(await other.logits()).toEqual(await logitsOf([1, 2, 3, 4]));
      // The session that was stopped goes on from the tokens that it says it has read.
      const read = session.tokenCount;
      expect(read).toBeGreaterThan(0);
      await session.feed([7]);
      expect(await session.logits()).toEqual(await logitsOf([...tokens.slice(0, read), 7]));
    });

    test('leaves no old logits behind when reading is stopped', async () => {
      const session = model.session();
      await session.feed([0]);
      await session.logits();
      const controller = new AbortController();
      const feeding = session.feed(
        Array.from({ length: 400 }, () => 5),
        {
          signal: controller.signal,
          progress: () => controller.abort(),
        },
      );
      await expect(feeding).rejects.toMatchObject({ name: 'AbortError' });
      await expect(session.logits()).rejects.toThrow(
        `reading was stopped after ${session.tokenCount} tokens, so what follows them is not known`,
      );
    });

    test('does not let a session write on after it was disposed', async () => {
      const session = model.session();
      await session.feed([1, 2]);
      // Without a tokenizer there are no pieces: the tokens tell how far it is.
      const generation = session.generate({ maxTokens: 50, stopTokens: [], seed: 1 });
      const text = generation.text();
      while (generation.tokens.length < 3) await new Promise((resolve) => setImmediate(resolve));
      await session.dispose();
      await expect(text).rejects.toThrow('on a session that was disposed');
      expect(generation.tokens.length).toBeLessThan(50);

      const reading = model.session();
      const feeding = expect(reading.feed(Array.from({ length: 500 }, () => 1))).rejects.toThrow(
        'on a session that was disposed',
      );
      await reading.dispose();
      await feeding;
    });

    test('stops at once when the model is disposed by what a step calls', async () => {
      const session = model.session();
      let taken = 0;
      const reading = session.feedWithLogits(
        Array.from({ length: 600 }, () => 1),
        () => {
          taken += 1;
          if (taken === 1) void model.dispose();
        },
      );
      await expect(reading).rejects.toThrow('the model was disposed');
      await model.dispose();
      expect(taken).toBe(1);
    });

    test('is told of states that are damaged, before anything is done with them', async () => {
      const session = model.session();
      await session.feed([1, 2, 3]);
      const saved = await session.save();
      const holed = new Map(saved.tensors);
      holed.set('state.0.att_x', new Float32Array(16).fill(NaN));
      const damages: [object, string][] = [
        [{ pending: 99999 }, 'has the pending token 99999 of a vocabulary of 12'],
        [{ logits: new Float32Array(3) }, 'has 3 logits for a vocabulary of 12'],
        [{ tokenCount: NaN }, 'says that NaN tokens were read'],
        [{ tensors: holed }, "holds no finite numbers in 'state.0.att_x'"],
        [{ tensors: {} }, 'has no Map of tensors, which JSON does not keep'],
      ];
      for (const [damage, message] of damages) {
        const damaged = { ...saved, ...damage } as SessionState;
        expect(() => model.session({ state: damaged })).toThrow(message);
        await expect(session.restore(damaged)).rejects.toThrow(message);
      }
      const kept = structuredClone(saved);
      const again = model.session({ state: kept });
      expect(await again.logits()).toEqual(await session.logits());
    });

    test('is told of prompts that are none', async () => {
      const session = model.session();
      for (const [prompt, found] of [
        [5, 'number'],
        [null, 'object'],
        [Promise.resolve([1]), 'await it first'],
      ]) {
        await expect(session.feed(prompt as never)).rejects.toThrow(
          /a prompt is text or a list of token ids/,
        );
        await expect(session.feed(prompt as never)).rejects.toThrow(String(found));
      }
    });
  });

  describe('sessions of one model', () => {
    test('give the same bits together as alone, though they outnumber the slots', async () => {
      const prompts = Array.from({ length: 8 }, (_, i) =>
        Array.from({ length: [1, 0, 3, 70, 16, 5, 64, 2][i]! + 1 }, (__, t) => (t * 7 + i) % 12),
      );
      const together = await Promise.all(
        prompts.map(async (prompt) => {
          const session = model.session();
          await session.feed(prompt);
          return session.logits();
        }),
      );
      for (const [i, prompt] of prompts.entries()) {
        expect(together[i]).toEqual(await logitsOf(prompt));
      }
    });

    test('take ⌈T / 64⌉ steps for T tokens in full steps, and as many as the longest of them writes', async () => {
      const counting = countingDevice(device);
      await using other = await LanguageModel.load(specificationWeights('7'), {
        device: counting.device,
        slots: 8,
      });
      const sessions = Array.from({ length: 8 }, () => other.session());
      const steps = async (action: (session: Session, place: number) => Promise<unknown>) => {
        counting.runs = 0;
        await Promise.all(sessions.map(action));
        return counting.runs;
      };
      const tokens = (length: number) => Array.from({ length }, () => 3);
      // 8 prompts of 33 tokens, the last of each pending: 256 tokens in full steps of 64.
      expect(await steps((session) => session.feed(tokens(33)))).toBe((8 * 32) / 64);
      // The pending ones with prompts of 1 to 15 tokens, odd, whose last ones are pending: 64 again.
      expect(await steps((session, place) => session.feed(tokens(2 * place + 1)))).toBe(1);
      // One token of each session goes into every step.
      const open = { stopTokens: [], seed: 1 };
      const write = (session: Session, maxTokens: number) =>
        session.generate({ ...open, maxTokens }).text();
      expect(await steps((session) => write(session, 5))).toBe(5);
      expect(await steps((session, place) => write(session, 2 + place))).toBe(2 + 7);
    });

    test('take steps of the largest buckets that their T tokens fill, whoever has how many', async () => {
      const counting = countingDevice(device);
      await using other = await LanguageModel.load(specificationWeights('7'), {
        device: counting.device,
        slots: 8,
      });
      // The formula of docs/tour.md, step 9: T tokens over buckets of 64, 16, 4 and 1. A step has a token of
      // each session, so it holds for certain where at most one session is left when a bucket of 1 is due.
      const formula = (total: number): number =>
        Math.floor(total / 64) +
        Math.floor((total % 64) / 16) +
        Math.floor((total % 16) / 4) +
        (total % 4);
      for (const lengths of [[22], [130], [64, 192], [100, 28], [1, 2, 61], [50, 60, 70, 76]]) {
        counting.runs = 0;
        await Promise.all(
          lengths.map(async (length) => {
            const session = other.session();
            // One more stays pending.
            await session.feed(Array.from({ length: length + 1 }, (_, i) => i % 12));
            await session.dispose();
          }),
        );
        const total = lengths.reduce((sum, length) => sum + length, 0);
        expect(counting.runs, lengths.join()).toBe(formula(total));
      }
    });

    test('never mix: any actions leave each as if it were alone; npm run fuzz -- sessions does more', async () => {
      await using actions = new SessionActions(
        (source, options) => LanguageModel.load(source, options),
        openDevice,
      );
      await fc.assert(actions.property(), { seed: 11, numRuns: 25 });
    });
  });
});

/** The device, with readbacks that fail while they are told to. */
function failingDevice(inner: Device): { device: Device; fail: boolean } {
  const control = {
    fail: false,
    device: deviceWith(inner, {
      read: (own) => async (tensor, range) => {
        if (control.fail) throw new DeviceError('the card fell off the bus');
        return own(tensor, range);
      },
    }),
  };
  return control;
}

/** The device, with a count of the steps that were run. */
function countingDevice(inner: Device): { device: Device; runs: number } {
  const control = {
    runs: 0,
    device: deviceWith(inner, {
      executable: (own) => ({
        run: (inputs) => {
          control.runs += 1;
          own.run(inputs);
        },
      }),
    }),
  };
  return control;
}
