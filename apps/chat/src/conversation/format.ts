import type { Format } from './conversation.ts';

/** What the model reads for a message, and how its answer begins and ends (specs/rwkv.md §8.3, §8.4). */
export interface Turn {
  readonly fed: string;
  /** What the answer begins with. */
  readonly prefix: string;
  readonly stop: readonly string[];
}

/** How G1 models answer: with thoughts, or at once. */
export type Thinking = 'on' | 'off';

/**
 * The turn that a user's text is. What users write is text: no part of it becomes a role, since blank
 * lines, which separate turns, are taken out of it.
 *
 * @param before what the model has read and written so far, as text
 */
export function turnOf(
  text: string,
  before: string,
  format: Format,
  thinking: Thinking = 'on',
): Turn {
  if (format === 'text') return { fed: joined(text, before), prefix: '', stop: [] };
  // Where the last answer was stopped within the words that separate turns, only their rest is missing.
  const separator = '\n\nUser:';
  const lead = before === '' ? 'User:' : separator.slice(overlap(before, separator));
  return { fed: `${lead} ${cleaned(text)}\n\nAssistant:`, ...answerOf(format, thinking) };
}

/** How an answer begins and ends. */
export function answerOf(format: Format, thinking: Thinking = 'on'): Omit<Turn, 'fed'> {
  switch (format) {
    case 'text':
      return { prefix: '', stop: [] };
    case 'world':
      return { prefix: '', stop: ['\n\n', '\nUser:'] };
    case 'g1':
      // The last > is the model's to write: it was trained to continue from here.
      return {
        prefix: thinking === 'on' ? ' <think' : ' <think>\n</think',
        stop: ['\n\nUser:'],
      };
  }
}

/** A model's format by its vocabulary and name: chat for the World vocabulary, plain text otherwise. */
export function formatFor(name: string, vocabularySize: number): Format {
  if (vocabularySize < 65_530) return 'text';
  return /g1/i.test(name) ? 'g1' : 'world';
}

/** Text of a turn: a blank line would end it, be there blanks in it or not. */
function cleaned(text: string): string {
  return text
    .replace(/\r\n?/g, '\n')
    .replace(/\n\s*\n/g, '\n')
    .trim();
}

/** Plain text goes on where it was; a space comes between two words. */
function joined(text: string, before: string): string {
  return /\S$/.test(before) && /^[\p{L}\p{N}]/u.test(text) ? ` ${text}` : text;
}

/** How much of the beginning of `next` the text ends with. */
function overlap(text: string, next: string): number {
  for (let length = next.length; length > 0; length--) {
    if (text.endsWith(next.slice(0, length))) return length;
  }
  return 0;
}
