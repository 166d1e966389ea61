import { allocateStates, evaluate, f32, i32, record, ShapeError, tensor } from '@rwkv-js/tensor';
import { describe, expect, test } from 'vitest';
import { openCpu } from '../cpu/device.ts';
import { drawToken, notDrawn, sample, sampleSettings, type SampleSettings } from './sample.ts';

const plainSettings: SampleSettings = {
  temperature: 1,
  topP: 1,
  topK: 0,
  presencePenalty: 0,
  frequencyPenalty: 0,
  penaltyDecay: 1,
};

/** One draw; occurrences, where given, are updated. */
function draw(
  logits: readonly number[],
  settings: Partial<SampleSettings> = {},
  {
    seed = 1,
    position = 0,
    counts = logits.map(() => 1),
    occurrences = new Float32Array(logits.length).fill(notDrawn),
  }: {
    seed?: number;
    position?: number;
    counts?: readonly number[];
    occurrences?: Float32Array;
  } = {},
): number {
  return drawToken(
    Float64Array.from(logits),
    { ...plainSettings, ...settings },
    { seed, position },
    Float32Array.from(counts),
    occurrences,
  );
}

/** Share of the draws that each token has, over many seeds. */
function shares(
  logits: readonly number[],
  settings: Partial<SampleSettings>,
  key: 'seed' | 'position' = 'seed',
): number[] {
  const found = logits.map(() => 0);
  for (let i = 0; i < draws; i++) found[draw(logits, settings, { [key]: i })] += 1 / draws;
  return found;
}

const draws = 20000;

/** Within 4 standard errors; a probability of 0 is never drawn, one of 1 always. */
function expectShares(found: readonly number[], expected: readonly number[]): void {
  for (const [token, p] of expected.entries()) {
    const error = 4 * Math.sqrt((p * (1 - p)) / draws);
    expect(Math.abs(found[token] - p), `token ${token}: ${found[token]}`).toBeLessThanOrEqual(
      error + 1e-9,
    );
  }
}

describe('the draw', () => {
  const logits = [2, 1, 0.5, 0, -1, -2];

  test.each<[Partial<SampleSettings>, number[]]>([
    [{ topP: 0.85 }, [0.628532, 0.231224, 0.140244, 0, 0, 0]],
    [{ temperature: 0.5, topP: 0.85 }, [0.843795, 0.114195, 0.04201, 0, 0, 0]],
    [{ temperature: 2, topP: 0.7 }, [0.622459, 0.377541, 0, 0, 0, 0]],
    [{ topP: 0.99, topK: 2 }, [0.731059, 0.268941, 0, 0, 0, 0]],
    [{ topP: 0.3 }, [1, 0, 0, 0, 0, 0]],
  ])('%o has the probabilities of the specification', (settings, expected) => {
    expectShares(shares(logits, settings), expected);
  });

  test('with nothing cut is in proportion to the softmax, whichever key runs', () => {
    const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
    const expected = logits.map((logit) => Math.exp(logit) / total);
    expectShares(shares(logits, {}), expected);
    expectShares(shares(logits, {}, 'position'), expected);
  });

  test('depends on its key alone', () => {
    const many = Array.from({ length: 50 }, (_, seed) => draw(logits, {}, { seed }));
    expect(Array.from({ length: 50 }, (_, seed) => draw(logits, {}, { seed }))).toEqual(many);
    expect(new Set(many).size).toBeGreaterThan(2);
  });

  test('the same distance between logits is the same draw, however large they are', () => {
    for (let seed = 0; seed < 200; seed++) {
      const here = draw([0, 1, 2, 3], { topP: 0.9 }, { seed });
      expect(draw([4096, 4097, 4098, 4099], { topP: 0.9 }, { seed })).toBe(here);
      expect(draw([-4096, -4095, -4094, -4093], { topP: 0.9 }, { seed })).toBe(here);
    }
  });
});

describe('the nucleus', () => {
  test('topP 0 leaves the likeliest, with all its equals', () => {
    expectShares(shares([1, 2, 2, 0], { topP: 0 }), [0, 0.5, 0.5, 0]);
  });

  test('tokens as likely as the last of the nucleus stay', () => {
    // 0.5, 0.25, 0.25: the first two make 0.75, and the third is as likely as the second.
    const logits = [0.5, 0.25, 0.25].map(Math.log);
    expectShares(shares(logits, { topP: 0.7 }), [0.5, 0.25, 0.25]);
    expectShares(shares(logits, { topP: 0.45 }), [1, 0, 0]);
  });

  test.each([0, 1e-9, 0.3, 0.999999, 1])('topP %d of equal logits leaves all', (topP) => {
    for (const vocabulary of [3, 49, 1000]) {
      const logits = new Array<number>(vocabulary).fill(0.1);
      const found = new Set<number>();
      for (let seed = 0; seed < 100; seed++) found.add(draw(logits, { topP }, { seed }));
      expect(found.has(-1)).toBe(false);
      expect(found.size).toBeGreaterThan(Math.min(vocabulary, 20) - 1);
    }
  });

  test('holds topP even where rounding leaves a little less than 1', () => {
    const logits = Array.from({ length: 1000 }, (_, i) => -i / 100);
    const found = draw(logits, { topP: 1 - 2 ** -53 });
    expect(found).toBeGreaterThanOrEqual(0);
  });

  test('is the same as sorting everything', () => {
    for (let trial = 0; trial < 300; trial++) {
      const logits = Array.from({ length: 40 }, (_, i) => Math.sin(i * (trial + 1)) * 4);
      const topP = (trial % 30) / 30;
      const order = logits.map((_, i) => i).sort((a, b) => logits[b] - logits[a]);
      const total = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
      let sum = 0;
      const kept = order.slice(
        0,
        order.findIndex((i) => (sum += Math.exp(logits[i]) / total) >= topP) + 1,
      );
      // At high temperatures all that stay are as likely, and what was cut never wins.
      const drawn = draw(logits, { topP, temperature: 100 }, { seed: trial });
      expect(kept).toContain(drawn);
      const last = kept.at(-1)!;
      const wins = Array.from({ length: 400 }, (_, seed) =>
        draw(logits, { topP, temperature: 1e6 }, { seed: 1000 * trial + seed }),
      );
      if (trial % 30 === 7) expect(wins).toContain(last);
      expect(wins.every((token) => kept.includes(token))).toBe(true);
    }
  });
});

describe('topK', () => {
  test('keeps the likeliest k of the nucleus; of equals the first', () => {
    expectShares(shares([0, 1, 1, 1], { topK: 2 }), [0, 0.5, 0.5, 0]);
    expectShares(shares([3, 0, 0, 0], { topK: 1 }), [1, 0, 0, 0]);
    expectShares(shares([0, 0], { topK: 5 }), [0.5, 0.5]);
  });
});

describe('temperature 0', () => {
  test('takes the likeliest, the first of equals', () => {
    expect(draw([1, 3, 3, 2], { temperature: 0 })).toBe(1);
    expect(draw([-Infinity, -5], { temperature: 0, topP: 0.3, topK: 1 })).toBe(1);
  });

  test('is what a very low temperature comes to', () => {
    for (let seed = 0; seed < 50; seed++) {
      expect(draw([1, 3, 2.999, 2], { temperature: 1e-6 }, { seed })).toBe(1);
      expect(draw([1, 3, 2.999, 2], { temperature: 5e-324 }, { seed })).toBe(1);
    }
  });
});

describe('logits that are no numbers', () => {
  const ways: Partial<SampleSettings>[] = [
    {},
    { topP: 0.5 },
    { topK: 2 },
    { topP: 0 },
    { temperature: 0 },
  ];

  test.each(ways)('NaN and −∞ are never drawn: %o', (settings) => {
    for (let seed = 0; seed < 200; seed++) {
      expect([1, 3]).toContain(draw([NaN, 0, -Infinity, 0, NaN], settings, { seed }));
    }
  });

  test.each(ways)('−1 where nothing can be drawn: %o', (settings) => {
    const occurrences = Float32Array.of(2, notDrawn);
    expect(draw([NaN, NaN], settings)).toBe(-1);
    expect(draw([], settings)).toBe(-1);
    const decaying = { ...settings, penaltyDecay: 0.5 };
    expect(draw([-Infinity, NaN], decaying, { occurrences })).toBe(-1);
    expect(occurrences).toEqual(Float32Array.of(2, notDrawn));
  });

  test.each(ways)('+∞ is certain: %o', (settings) => {
    for (let seed = 0; seed < 20; seed++) {
      expect(draw([100, Infinity, -Infinity, NaN], settings, { seed })).toBe(1);
    }
  });
});

describe('penalties', () => {
  test('a token drawn before loses presence once and frequency for each occurrence', () => {
    const settings = { temperature: 0, presencePenalty: 1, frequencyPenalty: 0.5 };
    const after = (occurrence: number, other: number): number =>
      draw([3, other], settings, { occurrences: Float32Array.of(occurrence, notDrawn) });
    expect(after(notDrawn, 2.9)).toBe(0);
    expect(after(0, 1.9)).toBe(0);
    expect(after(0, 2.1)).toBe(1);
    expect(after(2, 0.9)).toBe(0);
    expect(after(2, 1.1)).toBe(1);
  });

  test('negative penalties favour what was drawn', () => {
    const settings = { temperature: 0, presencePenalty: -1 };
    expect(draw([1, 0.5], settings, { occurrences: Float32Array.of(notDrawn, 0) })).toBe(1);
  });

  test('are taken before the nucleus is cut', () => {
    const settings = { topP: 0.5, presencePenalty: 10 };
    const occurrences = (): Float32Array => Float32Array.of(1, notDrawn);
    for (let seed = 0; seed < 20; seed++) {
      expect(draw([5, 0], settings, { seed, occurrences: occurrences() })).toBe(1);
    }
  });

  test('occurrences decay first, then the drawn token gains its count', () => {
    const occurrences = Float32Array.of(4, notDrawn, 1);
    const settings = { temperature: 0, penaltyDecay: 0.5 };
    expect(draw([9, 0, 0], settings, { occurrences })).toBe(0);
    expect(occurrences).toEqual(Float32Array.of(3, notDrawn, 0.5));
    expect(draw([0, 9, 0], settings, { occurrences })).toBe(1);
    expect(occurrences).toEqual(Float32Array.of(1.5, 1, 0.25));
  });

  test('a count of 0 leaves presence without frequency', () => {
    const occurrences = new Float32Array(2).fill(notDrawn);
    const settings = { temperature: 0, presencePenalty: 0.5, frequencyPenalty: 100 };
    const options = { counts: [0, 1], occurrences };
    expect(draw([3, 2.6], settings, options)).toBe(0);
    expect(occurrences).toEqual(Float32Array.of(0, notDrawn));
    expect(draw([3, 2.6], settings, options)).toBe(1);
    expect(draw([3, 2.4], { temperature: 0, presencePenalty: 0.5 }, options)).toBe(0);
  });

  test('a token of negative count is never drawn', () => {
    for (const settings of [{}, { topP: 0.3 }, { temperature: 0 }]) {
      for (let seed = 0; seed < 20; seed++) {
        expect(draw([9, 0], settings, { seed, counts: [-1, 1] })).toBe(1);
      }
    }
    expect(draw([9, 0], {}, { counts: [-1, -1] })).toBe(-1);
  });
});

describe('sample', () => {
  const settingsOf = (...all: Partial<SampleSettings>[]): number[] =>
    all.flatMap((one) => sampleSettings.map((name) => ({ ...plainSettings, ...one })[name]));

  test('draws for each row with the settings, key and occurrences of its slot', async () => {
    await using device = openCpu();
    const logits = [
      [1, 5, 2],
      [0, 0, 0],
      [4, 3.5, 0],
      [0, 0.1, 0.2],
    ];
    const [tokens, occurrences] = await evaluate(
      device,
      (...values) => {
        const [a, b, c, d, e, f] = values;
        return sample(a, b, c, d, e, f);
      },
      tensor([4, 3], logits.flat()),
      tensor([4], [2, -1, 0, 1], 'i32'),
      tensor(
        [3, 6],
        settingsOf(
          { temperature: 0, presencePenalty: 1, penaltyDecay: 0.5 },
          { temperature: 1 },
          { temperature: 0 },
        ),
      ),
      tensor([3, 2], [0, 0, 77, 3, 0, 0], 'i32'),
      tensor([3], [1, 1, 1]),
      tensor([3, 3], [2, -1, 0, -1, -1, -1, -1, 3, -1]),
    );
    const free = draw(logits[3], {}, { seed: 77, position: 3 });
    expect([...tokens.data]).toEqual([1, -1, 1, free]);
    const drawnFreely = [0, 1, 2].map((token) => (token === free ? 1 : -1));
    expect([...occurrences.data]).toEqual([[1, 1, 0], drawnFreely, [-1, 4, -1]].flat());
  });

  test('keeps occurrences on the device from run to run', async () => {
    await using device = openCpu();
    const program = record('step', (recorder) => {
      const state = recorder.state('occurrences', f32(1, 2), notDrawn);
      const [token, next] = sample(
        recorder.input('logits', f32(1, 2)),
        recorder.input('slots', i32(1)),
        recorder.input('settings', f32(1, 6)),
        recorder.input('random', i32(1, 2)),
        recorder.input('counts', f32(2)),
        state,
      );
      recorder.update(state, next);
      return { token };
    });
    const { tensors } = allocateStates(device, [program]);
    const executable = await device.compile(program, { states: tensors });
    const tokens: number[] = [];
    for (let step = 0; step < 4; step++) {
      executable.run({
        logits: [1, 0.6],
        slots: [0],
        settings: settingsOf({ temperature: 0, frequencyPenalty: 0.5 }),
        random: [0, step],
        counts: [1, 1],
      });
      tokens.push((await executable.read('token')).token[0]);
    }
    // 1 : 0.6, then 0.5 : 0.6, then 0.5 : 0.1, then 0 : 0.1.
    expect(tokens).toEqual([0, 1, 0, 1]);
    expect(await device.read(tensors.get('occurrences')!)).toEqual(Float32Array.of(2, 2));
  });

  test('16-bit logits are widened', async () => {
    await using device = openCpu();
    const rest = [
      tensor([1], [0], 'i32'),
      tensor([1, 6], settingsOf({ temperature: 0 }), 'f16'),
      tensor([1, 2], [0, 0], 'i32'),
      tensor([2], [1, 1], 'bf16'),
      tensor([1, 2], [-1, -1]),
    ];
    const [token] = await evaluate(
      device,
      (...values) => {
        const [a, b, c, d, e, f] = values;
        return sample(a, b, c, d, e, f);
      },
      // As bits, the negative one would be the larger number.
      tensor([1, 2], [1, -1], 'f16'),
      ...rest,
    );
    expect([...token.data]).toEqual([0]);
  });

  test.each([
    [0, tensor([2], [1, 2]), 'logits must have 2 axes'],
    [0, tensor([1, 2], [1, 2], 'i32'), 'logits must be of a floating dtype'],
    [1, tensor([2], [1, 2], 'i32'), 'slots must be i32[1]'],
    [2, tensor([1, 5], [1, 2, 3, 4, 5]), 'settings must be floating [slots, settings] = [1, 6]'],
    [3, tensor([1, 2], [1, 2]), 'random must be i32[1, 2]'],
    [4, tensor([3], [1, 2, 3]), 'counts must be floating [vocabulary] = [2]'],
    [5, tensor([1, 3], [1, 2, 3]), 'occurrences must be floating [slots, vocabulary] = [1, 2]'],
    [5, tensor([1, 2], [1, 2], 'f16'), 'occurrences must be f32 [slots, vocabulary] = [1, 2]'],
  ])('refuses an argument %d that does not fit', async (at, wrong, message) => {
    await using device = openCpu();
    const good = [
      tensor([1, 2], [1, 2]),
      tensor([1], [0], 'i32'),
      tensor([1, 6], [1, 1, 0, 0, 0, 1]),
      tensor([1, 2], [0, 0], 'i32'),
      tensor([2], [1, 1]),
      tensor([1, 2], [-1, -1]),
    ];
    const mistake = evaluate(
      device,
      (...values) => {
        const [a, b, c, d, e, f] = values;
        return sample(a, b, c, d, e, f);
      },
      ...good.with(at, wrong),
    );
    await expect(mistake).rejects.toThrow(ShapeError);
    await expect(mistake).rejects.toThrow(message);
  });
});
