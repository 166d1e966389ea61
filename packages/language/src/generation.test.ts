import { openCpu } from '@rwkv-js/core';
import { letters, specificationWeights } from '@rwkv-js/testing';
import type { Device } from '@rwkv-js/tensor';
import { ByteTokenizer } from '@rwkv-js/tokenizer';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LanguageModel } from './model.ts';
import type { Session } from './session.ts';

let device: Device;
let model: LanguageModel;

beforeAll(async () => {
  device = openCpu();
  model = await LanguageModel.load(specificationWeights('7'), { device, tokenizer: letters });
});

afterAll(async () => {
  await model.dispose();
  await device.dispose();
});

const open = { stopTokens: [], maxTokens: 30, seed: 5 } as const;

async function begun(prompt = 'bcd'): Promise<Session> {
  const session = model.session();
  await session.feed(prompt);
  return session;
}

describe('a generation', () => {
  test('gives the same text for the same seed, and another for another', async () => {
    const first = await (await begun()).generate(open).text();
    expect(first).toHaveLength(30);
    expect(await (await begun()).generate(open).text()).toBe(first);
    expect(await (await begun()).generate({ ...open, seed: 6 }).text()).not.toBe(first);
  });

  test('names the seed that it picked, which gives the text again', async () => {
    const generation = (await begun()).generate({ ...open, seed: undefined });
    const text = await generation.text();
    expect(await (await begun()).generate({ ...open, seed: generation.seed }).text()).toBe(text);
  });

  test('reads its prompt like a feed before it', async () => {
    const text = await model
      .session()
      .generate({ ...open, prompt: 'bcd' })
      .text();
    expect(text).toBe(await (await begun()).generate(open).text());
  });

  test('draws the same when the first logits are already known on the host', async () => {
    const session = await begun();
    await session.logits();
    expect(await session.generate(open).text()).toBe(await (await begun()).generate(open).text());
  });

  test('goes on where the one before ended', async () => {
    const greedy = { ...open, temperature: 0, presencePenalty: 0, frequencyPenalty: 0 };
    const session = await begun();
    const halves =
      (await session.generate({ ...greedy, maxTokens: 10 }).text()) +
      (await session.generate({ ...greedy, maxTokens: 20 }).text());
    expect(halves).toBe(await (await begun()).generate(greedy).text());
    expect(session.tokenCount).toBe(33);
  });

  test('ends before a stop string, which may span tokens', async () => {
    const whole = await (await begun()).generate(open).text();
    const stop = whole.slice(8, 11);
    const generation = (await begun()).generate({ ...open, stop: [stop] });
    const pieces: string[] = [];
    for await (const piece of generation) pieces.push(piece);
    expect(pieces.join('')).toBe(whole.slice(0, whole.indexOf(stop)));
    expect(generation.finishReason).toBe('stop');
    expect(generation.tokens).toHaveLength(whole.indexOf(stop) + stop.length);
  });

  test('ends at a stop token, which it does not read', async () => {
    const whole = await (await begun()).generate(open).text();
    const session = await begun();
    const generation = session.generate({ ...open, stopTokens: [whole.charCodeAt(4) - 97] });
    const text = await generation.text();
    expect(text).toBe(whole.slice(0, whole.indexOf(whole[4]!)));
    expect(generation.finishReason).toBe('end');
    expect(session.tokenCount).toBe(3 + text.length);
  });

  test('writes nothing when it may write no tokens', async () => {
    const session = await begun();
    const generation = session.generate({ ...open, maxTokens: 0 });
    expect(await generation.text()).toBe('');
    expect(generation.finishReason).toBe('length');
    expect(session.tokenCount).toBe(3);
  });

  test('leaves the session usable when its reader stops early', async () => {
    const session = await begun();
    let text = '';
    for await (const piece of session.generate(open)) {
      text += piece;
      if (text.length === 5) break;
    }
    expect(session.tokenCount).toBe(8);
    const straight = await begun();
    await straight.feed(text);
    expect(await session.logits()).toEqual(await straight.logits());
  });

  test('ends with an AbortError wherever it is aborted, and the session goes on', async () => {
    for (let after = 0; after < 6; after++) {
      const session = await begun();
      const controller = new AbortController();
      let text = '';
      const run = async (): Promise<void> => {
        if (after === 0) controller.abort();
        for await (const piece of session.generate({ ...open, signal: controller.signal })) {
          text += piece;
          if (text.length === after) controller.abort();
        }
      };
      await expect(run()).rejects.toMatchObject({ name: 'AbortError' });
      expect(text).toHaveLength(after);
      const straight = await begun();
      await straight.feed(text);
      expect(await session.logits()).toEqual(await straight.logits());
    }
  });

  test('can be iterated once', async () => {
    const generation = (await begun()).generate(open);
    await generation.text();
    await expect(generation.text()).rejects.toThrow('this generation was iterated before');
  });

  test('refuses settings outside their ranges before it begins', async () => {
    const session = await begun();
    const refusals: [object, string][] = [
      [{ temperature: -1 }, 'temperature is -1; it must be from 0 to 100'],
      [{ temperature: NaN }, 'temperature is NaN'],
      [{ topP: 1.5 }, 'topP is 1.5; it must be from 0 to 1'],
      [{ topK: 2.5 }, 'topK is 2.5; it must be a whole number from 0'],
      [{ maxTokens: -1 }, 'maxTokens is -1'],
      [{ seed: 1.5 }, 'seed is 1.5; it must be a whole number from 0 to 4294967295'],
      [{ temperature: '0.8' }, 'temperature is 0.8; it must be'],
      [{ stop: 'abc' }, 'stop is "abc"; it must be a list of texts'],
      [{ stopTokens: [99999] }, 'stopTokens is [99999]; it must be a list of token ids below 12'],
      [{ prompt: [99] }, "token 99 at place 0 is none of this model's"],
    ];
    for (const [options, message] of refusals) {
      expect(() => session.generate(options)).toThrow(message);
    }
    expect(session.tokenCount).toBe(3);
  });

  test('of a session that has read nothing says so', async () => {
    await expect(model.session().generate(open).text()).rejects.toThrow(
      'this session has read nothing yet, so nothing can follow; feed it a prompt',
    );
  });

  test('of a model begins with token 0 and needs no prompt', async () => {
    const session = model.session();
    await session.feed([0]);
    expect(await model.generate(open).text()).toBe(await session.generate(open).text());
  });

  test('gives presence penalties no end: a penalised token gives way to others', async () => {
    const heavy = { ...open, temperature: 0, presencePenalty: 100, frequencyPenalty: 0 };
    const text = await (await begun()).generate({ ...heavy, maxTokens: 12 }).text();
    expect(new Set(text).size).toBe(12);
  });
});

describe('a tokenizer of another size', () => {
  test('is refused when the model is loaded', async () => {
    const load = LanguageModel.load(specificationWeights('7'), {
      device,
      tokenizer: new ByteTokenizer(),
    });
    await expect(load).rejects.toThrow(
      "the specification's RWKV-7 has 12 rows of embedding, and vocabulary bytes has ids up to 255",
    );
  });
});
