import { runsOnNode } from './environment.ts';
import { nodeSend } from './send-by-node.ts';

/** What a request says beside its address: a part of what `fetch` takes. */
export interface Request {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly headers: Record<string, string>;
  readonly body?: string;
  /** `manual`: a redirect is an answer like any other. */
  readonly redirect: 'manual' | 'follow';
  /** The browser's own cache would keep a file a second time. */
  readonly cache: 'no-store';
  readonly signal: AbortSignal;
}

/** What an answer has: a part of what `Response` has. */
export interface Reply {
  readonly status: number;
  readonly statusText: string;
  /** `opaqueredirect` where a page may not see a redirect. */
  readonly type: string;
  /** Where it came from in the end; empty where nothing was followed. */
  readonly url: string;
  readonly headers: { get(name: string): string | null };
  readonly body: ReplyBody | null;
}

export interface ReplyBody {
  getReader(): ReplyReader;
  /** Lets go of it unread. */
  cancel(): Promise<void>;
}

interface ReplyReader {
  read(): Promise<{ readonly done?: boolean | undefined; readonly value?: Uint8Array | undefined }>;
  cancel(reason?: unknown): Promise<void>;
}

export type Send = (url: string, request: Request) => Promise<Reply>;

/** Sends requests the quickest way there is: by Node's own client, and by `fetch` elsewhere. */
export async function platformSend(): Promise<Send> {
  if (!runsOnNode()) return (url, request) => fetch(url, request);
  return await nodeSend();
}
