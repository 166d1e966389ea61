import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StopMatcher } from './stop-matcher.ts';

/** What a matcher lets through of pieces, and the stop string it ends at. */
function through(stops: readonly string[], pieces: readonly string[]): [string, string?] {
  const matcher = new StopMatcher(stops);
  let text = '';
  for (const piece of pieces) {
    const result = matcher.push(piece);
    text += result.text;
    if (result.stop !== undefined) return [text, result.stop];
  }
  return [text + matcher.flush()];
}

describe('a stop matcher', () => {
  test('finds a stop string that spans pieces and lets none of it through', () => {
    expect(through(['\n\nUser:'], ['Hello', '\n', '\nUs', 'er: hi'])).toEqual([
      'Hello',
      '\n\nUser:',
    ]);
  });

  test('gives back what only looked like a stop string', () => {
    expect(through(['\n\nUser:'], ['a\n\nUs', 'b'])).toEqual(['a\n\nUsb']);
    expect(through(['aab'], ['a', 'a', 'a', 'b', 'c'])).toEqual(['a', 'aab']);
  });

  test('takes the stop string that begins first', () => {
    expect(through(['cd', 'bc'], ['abcd'])).toEqual(['a', 'bc']);
  });

  test('ignores empty stop strings and works without any', () => {
    expect(through(['', 'x'], ['a', 'b'])).toEqual(['ab']);
    expect(through([], ['a', 'b'])).toEqual(['ab']);
  });

  test('cuts at the same place however the text is split', () => {
    const letter = fc.constantFrom('a', 'b', 'c');
    const word = fc
      .array(letter, { minLength: 1, maxLength: 4 })
      .map((letters) => letters.join(''));
    fc.assert(
      fc.property(
        fc.array(word, { minLength: 1, maxLength: 3 }),
        fc.array(word, { maxLength: 12 }),
        (stops, pieces) => {
          const [text, stop] = through(stops, pieces);
          const whole = pieces.join('');
          if (stop === undefined) {
            expect(text).toBe(whole);
            for (const other of stops) expect(whole.includes(other)).toBe(false);
          } else {
            // Nothing of a stop string came through, and it stood in the text right there.
            expect(whole.startsWith(text + stop)).toBe(true);
            for (const other of stops) expect(text.includes(other)).toBe(false);
          }
        },
      ),
      { seed: 7, numRuns: 2000 },
    );
  });
});
