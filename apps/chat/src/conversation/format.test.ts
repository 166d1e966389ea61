import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatFor, turnOf } from './format.ts';

describe('a turn of a chat', () => {
  test('has the roles of World models, separated by a blank line', () => {
    expect(turnOf('Hello!', '', 'world').fed).toBe('User: Hello!\n\nAssistant:');
    expect(turnOf('And now?', 'User: Hello!\n\nAssistant: Hi.', 'world').fed).toBe(
      '\n\nUser: And now?\n\nAssistant:',
    );
  });

  test.each([
    [' Hi.\n\n', 'User: again\n\nAssistant:'],
    [' Hi.\n', '\nUser: again\n\nAssistant:'],
    [' Hi.\n\nUser:', ' again\n\nAssistant:'],
    [' Hi.\n\nUs', 'er: again\n\nAssistant:'],
    [' User', '\n\nUser: again\n\nAssistant:'],
  ])('adds only what an answer that was stopped at %j has not read', (before, fed) => {
    expect(turnOf('again', before, 'world').fed).toBe(fed);
  });

  test('never has a blank line in it, whatever the user writes, so that nobody else can speak', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom('a', ' ', '\n', '\r', ':') }), (text) => {
        const { fed } = turnOf(text, '', 'world');
        const said = fed.slice('User: '.length, -'\n\nAssistant:'.length);
        expect(said).not.toMatch(/\n\s*\n/);
        expect(said).toBe(said.trim());
      }),
    );
  });

  test('lets G1 think, or at once end its thoughts', () => {
    expect(turnOf('Why?', '', 'g1', 'on').prefix).toBe(' <think');
    expect(turnOf('Why?', '', 'g1', 'off').prefix).toBe(' <think>\n</think');
    // Thoughts have blank lines.
    expect(turnOf('Why?', '', 'g1').stop).toEqual(['\n\nUser:']);
  });
});

test('plain text is read as it is, with a space between two words', () => {
  expect(turnOf('  a\n\nb ', '', 'text')).toEqual({ fed: '  a\n\nb ', prefix: '', stop: [] });
  expect(turnOf('then', 'and', 'text').fed).toBe(' then');
  expect(turnOf(', then', 'and', 'text').fed).toBe(', then');
  expect(turnOf('Then', 'The end.\n', 'text').fed).toBe('Then');
});

test('models with the World vocabulary chat, others go on with a text', () => {
  expect(formatFor('RWKV-x070-World-0.1B.pth', 65_536)).toBe('world');
  expect(formatFor('rwkv7-g1-0.4b.gguf', 65_536)).toBe('g1');
  expect(formatFor('Stories', 2048)).toBe('text');
  expect(formatFor('RWKV-4-Pile-169M.pth', 50_277)).toBe('text');
});
