import fc from 'fast-check';

const token = fc.nat(11);

const options = fc.record({
  maxTokens: fc.nat(20),
  seed: fc.nat(1000),
  temperature: fc.constantFrom(0, 0.7, 1.5),
  presencePenalty: fc.constantFrom(0, 0.5),
  stop: fc.array(fc.stringMatching(/^[a-l]{1,2}$/), { maxLength: 2 }),
  stopTokens: fc.array(token, { maxLength: 1 }),
});

/** How the reader of a generation leaves it: after so many pieces, with or without an abort. */
const leave = fc.record({ pieces: fc.integer({ min: 1, max: 12 }), abort: fc.boolean() });

/** Turns of the event loop that pass before an interruption. */
const turns = fc.nat(12);

/** Something done to one session. */
const action = fc.oneof(
  fc.record({
    kind: fc.constant('feed' as const),
    tokens: fc.array(token, { maxLength: 90 }),
  }),
  fc.record({
    kind: fc.constant('generate' as const),
    prompt: fc.option(fc.array(token, { maxLength: 20 }), { nil: undefined }),
    options,
    /** Turns that the reader takes for each piece: others may need the slot meanwhile. */
    pause: fc.nat(3),
    leave: fc.option(leave, { nil: undefined }),
  }),
  fc.record({
    kind: fc.constant('score' as const),
    tokens: fc.array(token, { maxLength: 9 }),
  }),
  fc.record({ kind: fc.constant('logits' as const) }),
  fc.record({ kind: fc.constant('save' as const) }),
  fc.record({ kind: fc.constant('restore' as const) }),
  fc.record({ kind: fc.constant('fork' as const) }),
  fc.record({ kind: fc.constant('dispose' as const) }),
  fc.record({
    kind: fc.constant('abort feed' as const),
    tokens: fc.array(token, { minLength: 1, maxLength: 300 }),
    turns,
  }),
  fc.record({ kind: fc.constant('abort generate' as const), options, turns }),
  fc.record({ kind: fc.constant('dispose while it writes' as const), options, turns }),
);

/** What is done to sessions of which model: groups of actions, each group at the same time. */
export const scripts = fc.record({
  version: fc.constantFrom('4' as const, '6' as const, '7' as const),
  slots: fc.integer({ min: 1, max: 4 }),
  stepsPerReadback: fc.constantFrom(1, 2, 3, 8),
  groups: fc.array(
    fc.array(fc.record({ which: fc.nat(7), action }), { minLength: 1, maxLength: 6 }),
    { minLength: 1, maxLength: 6 },
  ),
});

type Made<Arbitrary> = Arbitrary extends fc.Arbitrary<infer Value> ? Value : never;

export type Action = Made<typeof action>;
export type Script = Made<typeof scripts>;
