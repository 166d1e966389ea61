import { UsageError } from '@rwkv-js/tensor';
import { defaultEndpoint, parseAddress, type Address } from './address.ts';
import type { Cache } from './cache.ts';
import { Client } from './client.ts';
import { environment, isOn } from './environment.ts';
import { openCache } from './open-cache.ts';
import { wait, type Wait } from './patience.ts';
import { platformSend, type Send } from './send.ts';

/** A token, or what gives one for an origin such as `https://huggingface.co` when it is needed. */
export type Token = string | ((origin: string) => string | undefined | Promise<string | undefined>);

export interface HubOptions {
  /** Where files are kept. Default: `openCache()`. */
  readonly cache?: Cache | undefined;
  /** The hub that `hf:` means. Default: `HF_ENDPOINT`, or https://huggingface.co. */
  readonly endpoint?: string | undefined;
  /** Ask no server: what is not in the cache is an error. Default: whether `HF_HUB_OFFLINE` is on. */
  readonly offline?: boolean | undefined;
  /**
   * What lets one read private files; written nowhere. Text is for files of the hub, and is sent to
   * the hub's origin only. A function is asked for each origin that a file is fetched from, and what
   * it gives is sent there only. Default: `HF_TOKEN`, for files of the hub.
   */
  readonly token?: Token | undefined;
  /**
   * Sends the requests. Default: Node's own client, which is quicker than its `fetch`, and `fetch` elsewhere.
   * Give `fetch` in Node to go by a proxy that was set for it.
   */
  readonly fetch?: typeof fetch | undefined;
  /** Takes warnings, each a sentence. Default: the console. */
  readonly warn?: ((message: string) => void) | undefined;
}

/** Options with everything filled in. */
export interface Settings {
  readonly cache: Cache;
  readonly endpoint: string;
  readonly offline: boolean;
  readonly send: Send;
  readonly token: Token | undefined;
  readonly wait: Wait;
}

/** @param how.wait for tests, which do not wait */
export async function settingsOf(
  options: HubOptions,
  how: { wait?: Wait } = {},
): Promise<Settings> {
  const { warn } = options;
  return {
    cache: options.cache ?? (await openCache({ warn })),
    endpoint: options.endpoint ?? environment('HF_ENDPOINT') ?? defaultEndpoint,
    offline: options.offline ?? isOn('HF_HUB_OFFLINE'),
    send: options.fetch ?? (await platformSend()),
    token: options.token,
    wait: how.wait ?? wait,
  };
}

/** What sends requests for an address, with its token where there is one. */
export async function clientFor(address: Address, settings: Settings): Promise<Client> {
  const token = await tokenFor(address, settings);
  // An HTTP header takes no other characters; the platform's error about it would show the token.
  if (token !== undefined && !/^[\x21-\x7e]+$/.test(token)) {
    throw new UsageError(
      `Fetching ${address.label}: the token for it is empty or has characters that no token has; copy it again.`,
    );
  }
  return new Client(address, { send: settings.send, token });
}

async function tokenFor(
  address: Address,
  { token, endpoint }: Settings,
): Promise<string | undefined> {
  const { origin } = address.url;
  if (typeof token === 'function') return await token(origin);
  const ofHub = address.hub !== undefined || origin === originOf(endpoint);
  return ofHub ? (token ?? environment('HF_TOKEN')?.trim()) : undefined;
}

function originOf(endpoint: string): string | undefined {
  return URL.canParse(endpoint) ? new URL(endpoint).origin : undefined;
}

export function addressOf(text: string, { endpoint }: Settings): Address {
  return parseAddress(text, endpoint);
}
