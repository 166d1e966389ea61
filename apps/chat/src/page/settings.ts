import { effect, signal } from '@preact/signals';
import type { SamplingOptions } from 'rwkv-js';
import type { Thinking } from '../conversation/format.ts';
import type { DeviceChoice, ModelChoice } from '../engine/protocol.ts';

/** What the page remembers of its user, apart from the conversation. */
export interface Settings {
  readonly device: DeviceChoice;
  /** What differs from the model's own recommendation, and the official defaults behind that. */
  readonly sampling: SamplingOptions;
  readonly maxTokens: number;
  /** Undefined draws another text each time. */
  readonly seed: number | undefined;
  readonly thinking: Thinking;
  /** The model of the last visit, to load it again; without a token. */
  readonly model:
    | Extract<ModelChoice, { kind: 'stories' | 'kept' }>
    | { readonly kind: 'address'; readonly address: string }
    | undefined;
  readonly panelOpen: boolean | undefined;
}

/** The official sampler's (specs/rwkv.md §8.2). */
export const officialSampling = {
  temperature: 1,
  topP: 0.85,
  topK: 0,
  presencePenalty: 0.2,
  frequencyPenalty: 0.2,
  penaltyDecay: 0.996,
} as const;

const initial: Settings = {
  device: 'auto',
  sampling: {},
  maxTokens: 400,
  seed: undefined,
  thinking: 'on',
  model: undefined,
  panelOpen: undefined,
};

const key = 'rwkv-chat settings';

function read(): Settings {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(key) ?? '{}');
    return typeof stored === 'object' && stored !== null ? { ...initial, ...stored } : initial;
  } catch {
    return initial;
  }
}

export const settings = signal<Settings>(read());

effect(() => {
  const now = settings.value;
  try {
    localStorage.setItem(key, JSON.stringify(now));
  } catch {
    // Without storage they end with the page.
  }
});

export function change(some: Partial<Settings>): void {
  settings.value = { ...settings.value, ...some };
}
