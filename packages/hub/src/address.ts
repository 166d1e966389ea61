import { UsageError } from '@rwkv-js/tensor';
import { sha256 } from './sha256.ts';

/** Where a file of a model is, as it was asked for. */
export interface Address {
  /** What the cache and errors call it: never with a user name, a query or a fragment. */
  readonly label: string;
  /** Where it is fetched. Its query may hold a signature, so it is never shown. */
  readonly url: URL;
  /** The file's own name, such as `model.pth`. */
  readonly name: string;
  /** What the hub calls it; undefined for a plain URL. */
  readonly hub: HubFileName | undefined;
}

/** A file of a repository on a hub. */
interface HubFileName {
  /** `owner/name` */
  readonly repository: string;
  /** A branch, tag or commit; `main` when none was named. */
  readonly revision: string;
  readonly file: string;
  /** Where the hub tells sizes and sums of files. */
  readonly pathsInfo: URL;
}

/** Where `hf:` addresses lead unless `HF_ENDPOINT` or an option says otherwise. */
export const defaultEndpoint = 'https://huggingface.co';

const form = /^hf:([\w-][\w.-]*\/[\w-][\w.-]*)(?:@([^/]+))?\/(.+)$/;

/** True for text that names a file on a server: `hf:…`, `http://…`, `https://…`. */
export function isAddress(text: string): boolean {
  return /^(hf:|https?:\/\/)/i.test(text);
}

/**
 * Reads `hf:owner/repo[@revision]/file` or a plain http(s) URL. A slash in a revision is written
 * `%2F`: `hf:owner/repo@refs%2Fpr%2F1/model.pth`.
 *
 * @param endpoint the hub that `hf:` means
 * @throws UsageError for text that is neither.
 */
export function parseAddress(text: string, endpoint: string = defaultEndpoint): Address {
  if (/^hf:/i.test(text)) return hubAddress(text, endpoint);
  const url = parseUrl(text);
  if (url.username || url.password) {
    throw new UsageError(
      `Address ${url.origin}${url.pathname}: a user name in an address is not sent; take it out and give a token.`,
    );
  }
  url.hash = '';
  const name = decoded(url.pathname.slice(url.pathname.lastIndexOf('/') + 1));
  return { label: url.origin + url.pathname, url, name: name || 'file', hub: undefined };
}

function hubAddress(text: string, endpoint: string): Address {
  const [, repository, revisionText, file] = form.exec(`hf:${text.slice(3)}`) ?? [];
  const parts = file?.split('/') ?? [];
  if (!repository || !file || parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw new UsageError(
      `Address ${text}: hf:owner/repository/file or hf:owner/repository@revision/file was expected; ` +
        'name the file itself, such as hf:owner/repository/model.pth.',
    );
  }
  const revision = decoded(revisionText ?? 'main');
  const path = parts.map(encodeURIComponent).join('/');
  const base = endpoint.replace(/\/+$/, '');
  const at = encodeURIComponent(revision);
  return {
    label: `hf:${repository}${revision === 'main' ? '' : `@${at}`}/${file}`,
    url: parseUrl(`${base}/${repository}/resolve/${at}/${path}`),
    name: parts.at(-1)!,
    hub: {
      repository,
      revision,
      file,
      pathsInfo: parseUrl(`${base}/api/models/${repository}/paths-info/${at}`),
    },
  };
}

function parseUrl(text: string): URL {
  if (!/^https?:\/\//i.test(text) || !URL.canParse(text)) {
    throw new UsageError(
      `Address ${text.replace(/[?#].*/s, '')}: hf:owner/repository/file or an http(s) URL was expected.`,
    );
  }
  return new URL(text);
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * The name of an address in a cache: readable, and unlike that of any other address. The same file
 * from a mirror has the same name. A query counts, since it may name another file, but only through
 * a hash, since it may be a secret.
 */
export async function keyOf(address: Address): Promise<string> {
  const readable = address.label.replace(/^https?:\/\//, '').replace(/[^\w.-]+/g, '-');
  const hash = await sha256();
  hash.update(new TextEncoder().encode(address.hub ? address.label : address.url.href));
  return `${readable.slice(-80).replace(/^[.-]+/, '')}-${hash.digest().slice(0, 16)}`;
}
