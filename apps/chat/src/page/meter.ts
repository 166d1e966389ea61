import { signal } from '@preact/signals';
import type { WriteEvent } from '../engine/protocol.ts';

/** A stretch of writing. */
export interface Sample {
  /** Tokens of the whole text at its end. */
  readonly position: number;
  readonly millisecondsPerToken: number;
  /** Weights and states on the device, and what the worker's own memory has. */
  readonly megabytes: number;
}

/** Tokens and milliseconds that a sample is made of, so that the line is calm. */
const leastTokens = 4;
const leastMilliseconds = 200;

/** Points that the plot takes; beyond, every second one goes. */
const mostSamples = 800;

export const samples = signal<readonly Sample[]>([]);

let tokens = 0;
let milliseconds = 0;
let writing: string | undefined;

/** Adds what a writing told. The plot is of one column at a time: that which writes. */
export function measure(branch: string, event: Extract<WriteEvent, { kind: 'written' }>): void {
  // The first piece waited for the prompt, and a prefix takes no time at all.
  if (event.milliseconds === 0) return;
  if (writing !== branch) {
    writing = branch;
    samples.value = [];
    tokens = 0;
    milliseconds = 0;
  }
  tokens += event.tokens.length;
  milliseconds += event.milliseconds;
  if (tokens < leastTokens || milliseconds < leastMilliseconds) return;
  const sample = {
    position: event.position,
    millisecondsPerToken: milliseconds / tokens,
    megabytes: (event.deviceBytes + (event.heapBytes ?? 0)) / 1e6,
  };
  tokens = 0;
  milliseconds = 0;
  // Trying again begins further back.
  const before = samples.value.filter(({ position }) => position < sample.position);
  const kept = before.length < mostSamples ? before : before.filter((_, index) => index % 2 === 0);
  samples.value = [...kept, sample];
}

export function clearMeter(): void {
  writing = undefined;
  samples.value = [];
}
