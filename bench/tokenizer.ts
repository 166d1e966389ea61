/**
 * How fast the World tokenizer reads its vocabulary, encodes and decodes, on one core.
 *
 *   npm run bench -- tokenizer
 *
 * Needs the vocabulary and the texts of ../shared. A row is a text of about 4 MB; MB are 10^6 bytes
 * of UTF-8 and the spread is the slowest and the fastest run.
 */
import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import { parseVocabulary } from '@rwkv-js/tokenizer';

const SIZE = 4_000_000;
const RUNS = 15;
const data = new URL('../../shared/data/', import.meta.url);

interface Times {
  readonly median: number;
  readonly fastest: number;
  readonly slowest: number;
}

/** Milliseconds of one call, of several after two to warm up. */
function measure(call: () => void): Times {
  const times: number[] = [];
  for (let run = -2; run < RUNS; run++) {
    const start = performance.now();
    call();
    if (run >= 0) times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return { median: times[RUNS >> 1], fastest: times[0], slowest: times[RUNS - 1] };
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
console.log(
  `parseVocabulary, World: first ${first.toFixed(0)} ms, then median ${parse.median.toFixed(0)} ms ` +
    `(${parse.fastest.toFixed(0)} to ${parse.slowest.toFixed(0)})\n`,
);

const rows = [
  ['text', 'bytes a token', 'encode MB/s', 'spread', 'encode string', 'decode MB/s', 'spread'],
];
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
const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)));
for (const row of rows) {
  console.log(
    row.map((cell, i) => (i ? cell.padStart(widths[i]) : cell.padEnd(widths[i]))).join('  '),
  );
}
