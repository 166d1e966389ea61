import { runsOnNode } from './environment.ts';

/** A SHA-256 sum of bytes that come in pieces. */
export interface Sha256 {
  update(bytes: Uint8Array): void;
  /** The sum, as 64 hexadecimal digits. Ends it. */
  digest(): string;
}

/** Begins a sum: Node's own, or WebAssembly elsewhere, since the Web's `digest` takes no pieces. */
export async function sha256(): Promise<Sha256> {
  if (runsOnNode()) {
    const { createHash } = await import('node:crypto');
    const hash = createHash('sha256');
    return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('hex') };
  }
  const { createSHA256 } = await import('hash-wasm');
  const hash = (await createSHA256()).init();
  return { update: (bytes) => void hash.update(bytes), digest: () => hash.digest('hex') };
}
