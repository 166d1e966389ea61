/**
 * How fast the tokenizers read their vocabularies, encode and decode, on one core; that of GPT-NeoX 20B
 * beside @huggingface/tokenizers on the same file and text.
 *
 *   npm run bench -- peers        once, to compare
 *   npm run bench -- tokenizer
 *
 * Needs the vocabulary and the texts of ../shared. A row is a text of about 4 MB; MB are 10^6 bytes
 * of UTF-8 and the spread is the slowest and the fastest run.
 */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import {
  packVocabulary,
  parseTokenizer,
  parseVocabulary,
  unpackVocabulary,
} from '@rwkv-js/tokenizer';
import { openPeer } from './peers.ts';
import { formatTable } from './table.ts';

const SIZE = 4_000_000;
const RUNS = 15;
const data = new URL('../../shared/data/', import.meta.url);

interface Times {
  readonly median: number;
  readonly fastest: number;
  readonly slowest: number;
}

/** Milliseconds of one call, of several after two to warm up. */
function measure(call: () => void, runs = RUNS): Times {
  const times: number[] = [];
  for (let run = -2; run < runs; run++) {
    const start = performance.now();
    call();
    if (run >= 0) times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { median: times[runs >> 1], fastest: times[0], slowest: times[runs - 1] };
}

/** The bytes again and again, up to the size of a text. */
function fill(piece: Uint8Array): Uint8Array {
  const filled = new Uint8Array(SIZE);
  for (let at = 0; at < SIZE; at += piece.length) {
    filled.set(piece.subarray(0, Math.min(piece.length, SIZE - at)), at);
  }
  return filled;
}

function english(): Uint8Array {
  const stories = new URL('stories/train.txt.gz', data);
  if (existsSync(stories)) return gunzipSync(readFileSync(stories)).subarray(0, SIZE);
  const cases = readFileSync(new URL('tokenizer/world-cases.jsonl', data), 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { text?: string }).text ?? '')
    .filter((text) => /^[\x20-\x7e]+$/.test(text));
  return new TextEncoder().encode(cases.join('\n'));
}

/** Numbers from 0 to 2^24 - 1 of a linear congruential generator: the same in every run. */
function generator(): () => number {
  let state = 1;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state >>> 8;
  };
}

/**
 * The vocabulary's Chinese tokens in random order, rare ones as often as common ones: harder on
 * the cache than prose is.
 */
function chinese(): Uint8Array {
  const words: string[] = [];
  for (let id = 1; id < tokenizer.vocabularySize; id++) {
    const word = tokenizer.decode([id]);
    if (/^\p{Script=Han}+$/u.test(word)) words.push(word);
  }
  const next = generator();
  const text = Array.from({ length: SIZE / 4 }, () => words[next() % words.length]).join('');
  return new TextEncoder().encode(text).subarray(0, SIZE);
}

function code(): Uint8Array {
  const folder = new URL('../packages/tokenizer/src/', import.meta.url);
  const names = ['trie.ts', 'python-literal.ts', 'parse-vocabulary.ts', 'table-tokenizer.ts'];
  return Buffer.concat(names.map((name) => readFileSync(new URL(name, folder))));
}

function random(): Uint8Array {
  const next = generator();
  return Uint8Array.from({ length: SIZE }, () => next() >>> 16);
}

const vocabularyFile = new URL('tokenizer/rwkv_vocab_v20230424.txt', data);
if (!existsSync(vocabularyFile)) {
  console.error(`This benchmark needs ${vocabularyFile.pathname}, which is not there.`);
  process.exit(1);
}
const file = readFileSync(vocabularyFile);
const firstStart = performance.now();
const tokenizer = parseVocabulary(file, 'World');
const first = performance.now() - firstStart;
const parse = measure(() => parseVocabulary(file, 'World'));
const packed = packVocabulary(tokenizer);
const unpackStart = performance.now();
unpackVocabulary(packed, 'World');
const firstUnpack = performance.now() - unpackStart;
const unpack = measure(() => unpackVocabulary(packed, 'World'));
console.log(
  `unpackVocabulary, World, ${packed.length} bytes: first ${firstUnpack.toFixed(1)} ms, then median ` +
    `${unpack.median.toFixed(1)} ms (${unpack.fastest.toFixed(1)} to ${unpack.slowest.toFixed(1)})`,
);
console.log(
  `parseVocabulary, World: first ${first.toFixed(0)} ms, then median ${parse.median.toFixed(0)} ms ` +
    `(${parse.fastest.toFixed(0)} to ${parse.slowest.toFixed(0)})\n`,
);

const heading = [
  'World',
  'bytes a token',
  'encode MB/s',
  'spread',
  'encode string',
  'decode MB/s',
  'spread',
];
const rows: string[][] = [];
for (const [name, piece] of [
  ['English', english()],
  ['Chinese', chinese()],
  ['code', code()],
  ['random bytes', random()],
] as const) {
  const bytes = fill(piece);
  const text = new TextDecoder().decode(bytes);
  const ids = tokenizer.encode(bytes);
  const rate = (milliseconds: number) => (SIZE / 1000 / milliseconds).toFixed(0);
  const spread = (times: Times) => `${rate(times.slowest)} to ${rate(times.fastest)}`;
  const encode = measure(() => tokenizer.encode(bytes));
  // Random bytes are not UTF-8, so as a string they would be another text.
  const encodeString =
    name === 'random bytes' ? '' : rate(measure(() => tokenizer.encode(text)).median);
  const decode = measure(() => tokenizer.decode(ids));
  rows.push([
    name,
    (SIZE / ids.length).toFixed(2),
    rate(encode.median),
    spread(encode),
    encodeString,
    rate(decode.median),
    spread(decode),
  ]);
}
console.log(`${formatTable(heading, rows)}\n`);
await benchNeox();

/** GPT-NeoX 20B, with texts that the peer takes no minute for. */
async function benchNeox(): Promise<void> {
  const zipped = new URL('tokenizer/neox/20B_tokenizer.json.gz', data);
  if (!existsSync(zipped)) return;
  const json = gunzipSync(readFileSync(zipped));
  const start = performance.now();
  const neox = parseTokenizer(json, 'NeoX');
  const seconds = performance.now() - start;
  const peer = await openPeer<typeof Peer>('@huggingface/tokenizers');
  const peerStart = performance.now();
  const other = peer && new peer.module.Tokenizer(JSON.parse(json.toString()), {});
  const peerSeconds = performance.now() - peerStart;
  console.log(
    `tokenizer.json, GPT-NeoX 20B: first ${seconds.toFixed(0)} ms` +
      (peer ? `; @huggingface/tokenizers ${peer.version}: ${peerSeconds.toFixed(0)} ms` : ''),
  );
  const size = 500_000;
  const table = (['English', 'Chinese', 'code'] as const).map((name) => {
    const piece = { English: english, Chinese: chinese, code }[name]();
    // Cut at a character, so that text and bytes are the same.
    const text = new TextDecoder().decode(fill(piece).subarray(0, size), { stream: true });
    const ids = neox.encode(text, { specialTokens: true });
    const rate = (milliseconds: number) => (size / 1000 / milliseconds).toFixed(1);
    const ours = measure(() => neox.encode(text));
    const decode = measure(() => neox.decode(ids));
    const theirs = other && measure(() => other.encode(text, { add_special_tokens: false }), 3);
    const theirIds = other?.encode(text, { add_special_tokens: false }).ids;
    return [
      name,
      (size / ids.length).toFixed(2),
      rate(ours.median),
      `${rate(ours.slowest)} to ${rate(ours.fastest)}`,
      rate(decode.median),
      theirs ? rate(theirs.median) : '',
      theirIds ? (theirIds.join() === ids.join() ? 'yes' : 'NO') : '',
    ];
  });
  console.log(
    formatTable(
      [
        'GPT-NeoX 20B',
        'bytes a token',
        'encode MB/s',
        'spread',
        'decode MB/s',
        'peer encode MB/s',
        'same tokens',
      ],
      table,
    ),
  );
}

/** What is used of the peer. */
declare const Peer: {
  readonly Tokenizer: new (
    tokenizer: unknown,
    settings: object,
  ) => {
    encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: number[] };
  };
};
