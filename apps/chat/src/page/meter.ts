import { computed, signal } from '@preact/signals';
import type { WriteEvent } from '../engine/protocol.ts';
import { measurePage, pageBytes } from './page-memory.ts';

/** A stretch of writing. */
export interface Sample {
  /** Tokens of the whole text at its end. */
  readonly position: number;
  readonly millisecondsPerToken: number;
  /** Weights and states on the device. */
  readonly deviceMegabytes: number;
  /** The whole page with its workers, where the browser measures that. */
  readonly pageMegabytes: number | undefined;
}

/** Tokens and milliseconds that a sample is made of, so that the line is calm. */
const leastTokens = 4;
const leastMilliseconds = 150;

/** Points that the plot takes; beyond, every second one goes. */
const mostSamples = 800;

export const samples = signal<readonly Sample[]>([]);

/** Of the last stretch, for people: `120 tok/s`. */
export const speed = computed(() => {
  const last = samples.value.at(-1);
  if (!last) return undefined;
  const rate = 1000 / last.millisecondsPerToken;
  return `${rate < 10 ? rate.toFixed(1) : Math.round(rate)} tok/s`;
});

let tokens = 0;
let milliseconds = 0;
let measured: string | undefined;

/** Adds what a writing told. The plot is of one column at a time: that which writes. */
export function measure(branch: string, event: Extract<WriteEvent, { kind: 'written' }>): void {
  // A prefix takes no time.
  if (event.milliseconds === 0) return;
  measurePage();
  if (measured !== branch) {
    tokens = 0;
    milliseconds = 0;
  }
  measured = branch;
  tokens += event.tokens.length;
  milliseconds += event.milliseconds;
  // Of a short text the plot has one point at least.
  const enough = tokens >= leastTokens && milliseconds >= leastMilliseconds;
  if (!enough && samples.value.length > 0) return;
  const sample = {
    position: event.position,
    millisecondsPerToken: milliseconds / tokens,
    deviceMegabytes: event.deviceBytes / 1e6,
    pageMegabytes: pageBytes.value === undefined ? undefined : pageBytes.value / 1e6,
  };
  tokens = 0;
  milliseconds = 0;
  // Trying again begins further back; a fork begins with what both columns share.
  const before = samples.value.filter(({ position }) => position < sample.position);
  const kept = before.length < mostSamples ? before : before.filter((_, index) => index % 2 === 0);
  samples.value = [...kept, sample];
}

export function clearMeter(): void {
  measured = undefined;
  samples.value = [];
}
