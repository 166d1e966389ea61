import { expect, test } from 'vitest';
import {
  emptyConversation,
  newestBelow,
  pathTo,
  versionsOf,
  withFork,
  withMessage,
  withoutBranch,
  type Conversation,
  type Message,
} from './conversation.ts';

const message = (id: string, parent: string | undefined, author: Message['author']): Message => ({
  id,
  parent,
  author,
  text: id,
  fed: id,
  format: 'text',
});

/** A question with two answers, the second of which is gone on from. */
function grown(): { conversation: Conversation; branch: string } {
  const empty = emptyConversation();
  const branch = empty.branches[0]!.id;
  const conversation = [
    message('question', undefined, 'user'),
    message('first', 'question', 'model'),
    message('second', 'question', 'model'),
    message('more', 'second', 'user'),
  ].reduce((all, one) => withMessage(all, one, branch), empty);
  return { conversation, branch };
}

test('a column shows the way from the root to its leaf', () => {
  const { conversation } = grown();
  const ids = pathTo(conversation.messages, conversation.branches[0]!.leaf).map(({ id }) => id);
  expect(ids).toEqual(['question', 'second', 'more']);
  expect(pathTo(conversation.messages, undefined)).toEqual([]);
});

test('answers in one place are versions, and each leads to what was written last below it', () => {
  const { messages } = grown().conversation;
  const versions = versionsOf(messages, messages.get('first')!);
  expect(versions.map(({ id }) => id)).toEqual(['first', 'second']);
  expect(newestBelow(messages, 'first')).toBe('first');
  expect(newestBelow(messages, 'second')).toBe('more');
});

test('a fork stands beside its column and grows by itself', () => {
  const { conversation, branch } = grown();
  const { conversation: forked, fork } = withFork(conversation, branch, 'first');
  expect(forked.branches.map(({ leaf }) => leaf)).toEqual(['more', 'first']);
  const longer = withMessage(forked, message('other', 'first', 'user'), fork.id);
  expect(longer.branches.map(({ leaf }) => leaf)).toEqual(['more', 'other']);
  // What was there before is as it was.
  expect(conversation.branches).toHaveLength(1);
  expect(conversation.messages.has('other')).toBe(false);
});

test('the last column stays', () => {
  const { conversation, branch } = grown();
  const { conversation: forked, fork } = withFork(conversation, branch, 'first');
  const closed = withoutBranch(forked, branch);
  expect(closed.branches.map(({ id }) => id)).toEqual([fork.id]);
  expect(withoutBranch(closed, fork.id)).toBe(closed);
});

test('a message whose parent is gone begins the text', () => {
  const { messages } = grown().conversation;
  const rest = new Map([...messages].filter(([id]) => id !== 'question'));
  expect(pathTo(rest, 'more').map(({ id }) => id)).toEqual(['second', 'more']);
});
