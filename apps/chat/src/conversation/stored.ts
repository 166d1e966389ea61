import { createStore, get, set } from 'idb-keyval';
import { emptyConversation, type Branch, type Conversation, type Message } from './conversation.ts';

const key = 'conversation';

/** Made when it is needed: where the browser has no database, asking for it throws. */
const store = () => createStore('rwkv-chat', 'conversation');

/** The conversation of the last visit; an empty one where there is none, or no database. */
export async function readConversation(): Promise<Conversation> {
  try {
    const stored = await get<{ messages: Message[]; branches: Branch[] }>(key, store());
    if (!stored || stored.branches.length === 0) return emptyConversation();
    return {
      messages: new Map(stored.messages.map((message) => [message.id, message])),
      branches: stored.branches,
    };
  } catch {
    return emptyConversation();
  }
}

/** @returns false where the browser does not take it: it ends with the page then. */
export async function writeConversation({ messages, branches }: Conversation): Promise<boolean> {
  try {
    await set(key, { messages: [...messages.values()], branches }, store());
    return true;
  } catch {
    return false;
  }
}
