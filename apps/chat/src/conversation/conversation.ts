/**
 * A conversation is a tree of messages that never change: editing and trying again add siblings, and
 * every column of the page is a way from the root to one message.
 */

/** How text is given to the model. */
export type Format = 'text' | 'world' | 'g1';

export interface Message {
  readonly id: string;
  readonly parent: string | undefined;
  readonly author: 'user' | 'model' | 'state';
  /** What is shown. */
  readonly text: string;
  /** Exactly what the model read or wrote for it, roles and stops included. */
  readonly fed: string;
  readonly format: Format;
  /** The tokens of `fed`, for the model with this fingerprint. */
  readonly tokens?: readonly number[] | undefined;
  readonly fingerprint?: string | undefined;
  /** Why the model stopped; `broken`: it was interrupted and can go on. */
  readonly finish?: 'stop' | 'end' | 'length' | 'stopped' | 'broken' | undefined;
}

/** One column: the way to `leaf`, what is being typed there. */
export interface Branch {
  readonly id: string;
  readonly leaf: string | undefined;
  readonly draft: string;
}

export interface Conversation {
  readonly messages: ReadonlyMap<string, Message>;
  readonly branches: readonly Branch[];
}

export const newId = (): string => crypto.randomUUID?.() ?? Math.random().toString(36).slice(2);

export function emptyConversation(): Conversation {
  return { messages: new Map(), branches: [{ id: newId(), leaf: undefined, draft: '' }] };
}

/** Messages from the root to a leaf. */
export function pathTo(
  messages: ReadonlyMap<string, Message>,
  leaf: string | undefined,
): readonly Message[] {
  const path: Message[] = [];
  for (let at = leaf; at !== undefined;) {
    const message = messages.get(at);
    if (!message) break;
    path.push(message);
    at = message.parent;
  }
  return path.toReversed();
}

/** The messages that stand where this one stands, itself among them, oldest first. */
export function versionsOf(
  messages: ReadonlyMap<string, Message>,
  message: Message,
): readonly Message[] {
  return [...messages.values()].filter(
    ({ parent, author }) => parent === message.parent && author === message.author,
  );
}

/** The newest message below one, or itself: where a column goes that turns to another version. */
export function newestBelow(messages: ReadonlyMap<string, Message>, id: string): string {
  let newest = id;
  for (const message of messages.values()) if (message.parent === newest) newest = message.id;
  return newest;
}

/** The conversation with a message, and a branch that goes to it. */
export function withMessage(
  conversation: Conversation,
  message: Message,
  branchId: string,
): Conversation {
  const messages = new Map(conversation.messages);
  messages.set(message.id, message);
  return withBranch({ ...conversation, messages }, branchId, { leaf: message.id });
}

/** The conversation with a branch that is changed. */
export function withBranch(
  conversation: Conversation,
  branchId: string,
  change: Partial<Omit<Branch, 'id'>>,
): Conversation {
  const branches = conversation.branches.map((branch) =>
    branch.id === branchId ? { ...branch, ...change } : branch,
  );
  return { ...conversation, branches };
}

/** A second column, beside the one it was made from, that goes to the same place. */
export function withFork(
  conversation: Conversation,
  branchId: string,
  leaf: string,
): { readonly conversation: Conversation; readonly fork: Branch } {
  const fork: Branch = { id: newId(), leaf, draft: '' };
  const branches = conversation.branches.flatMap((branch) =>
    branch.id === branchId ? [branch, fork] : [branch],
  );
  return { conversation: { ...conversation, branches }, fork };
}

/** Without a column; its messages stay, as versions of what other columns show. */
export function withoutBranch(conversation: Conversation, branchId: string): Conversation {
  const branches = conversation.branches.filter(({ id }) => id !== branchId);
  return branches.length === 0 ? conversation : { ...conversation, branches };
}
