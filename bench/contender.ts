/** What a benchmark measures beside others, in turns: one of ours, or a peer. */
export interface Contender {
  readonly name: string;
  /** Greedy writing of so many tokens by each sequence; the rate counts those of all together. */
  decode(sequences: number, tokens: number): Promise<Rate>;
  /** Reading. */
  prompt(): Promise<Rate>;
  close(): Promise<void>;
}

/** How fast something went. */
export interface Rate {
  /** Tokens a second by the clock. */
  readonly byClock: number;
  /** Tokens a second of processor time, of all threads: what other work on the machine disturbs less. */
  readonly byProcessor: number;
}

/** Times work on so many tokens. */
export async function rateOf(tokens: number, work: () => Promise<unknown>): Promise<Rate> {
  const [start, usage] = [performance.now(), process.cpuUsage()];
  await work();
  const { user, system } = process.cpuUsage(usage);
  return {
    byClock: (1000 * tokens) / (performance.now() - start),
    byProcessor: (1e6 * tokens) / (user + system),
  };
}

/** What is read: as many tokens as `prompt 512` says. */
export const prompt = Array.from({ length: 512 }, (_, i) => (i * 37) % 2048);
