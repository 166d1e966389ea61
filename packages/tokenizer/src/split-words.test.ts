import fc from 'fast-check';
import { expect, test } from 'vitest';
import { wordEnd } from './split-words.ts';

/** The pattern of GPT-2, with Unicode's white space, which is what its \s means in Rust and Python. */
const pattern =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

function split(text: string): string[] {
  const words: string[] = [];
  for (let start = 0; start < text.length;) {
    const end = wordEnd(text, start);
    words.push(text.slice(start, end));
    start = end;
  }
  return words;
}

test('splits text as the pattern of GPT-2 does', () => {
  const unit = fc.constantFrom(
    ...`  \n\t\r'''sstrevmlld1²½aéß你.-_🙂𝒜𝟙\u0085\ufeff\u00a0\u3000\u180e\u0301`,
  );
  const texts = fc.oneof(
    fc.string({ unit, maxLength: 40 }),
    fc.string({ unit: 'binary', maxLength: 40 }),
    fc.array(fc.nat(0xffff), { maxLength: 20 }).map((units) => String.fromCharCode(...units)),
  );
  fc.assert(
    fc.property(texts, (text) => {
      expect(split(text)).toEqual(text.match(pattern) ?? []);
    }),
    { seed: 5, numRuns: 2000 },
  );
});

test.each([
  [
    "it's we'll I'd've can'T ''s",
    ['it', "'s", ' we', "'ll", ' I', "'d", "'ve", ' can', "'", 'T', " ''", 's'],
  ],
  ['a  b \n c\t', ['a', ' ', ' b', ' \n', ' c', '\t']],
  ['2024 x²', ['2024', ' x', '²']],
])('splits %j', (text, words) => {
  expect(split(text)).toEqual(words);
});
