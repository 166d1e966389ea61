import { FormatError, rwkv4Entries, rwkv7Entries, type Schedule } from 'rwkv-js';
import { symmetricGroup } from './permutations.ts';

/** The groups, by the number of things that are permuted, and how many steps learn them. */
export const groups = {
  s3: { things: 3, steps: 600 },
  s5: { things: 5, steps: 2000 },
} as const;

export const versions = ['7', '4'] as const;

/** What makes one training differ from another. All else is below. */
export interface Settings {
  readonly group: keyof typeof groups;
  readonly version: (typeof versions)[number];
  readonly seed: number;
  readonly steps: number;
}

/** A batch: words of twelve permutations. */
export const batch = { count: 24, length: 12 } as const;

/** The learning rate: up for ten steps, then down to a tenth. */
export function schedule({ steps }: Pick<Settings, 'steps'>): Schedule {
  return { rate: 0.008, finalRate: 0.0008, warmup: 10, steps };
}

export function groupOf({ group }: Pick<Settings, 'group'>) {
  return symmetricGroup(groups[group].things);
}

/** The model: two layers of width 32, four heads of 8 where the version has heads. */
export function tensorsOf(settings: Pick<Settings, 'group' | 'version'>) {
  const width = 32;
  const sizes = {
    layers: 2,
    width,
    feedForwardWidth: 4 * width,
    vocabularySize: groupOf(settings).size,
  };
  if (settings.version === '4') return rwkv4Entries(sizes, 'f32');
  const ranks = { w: 8, a: 8, v: 8, g: 8 };
  return rwkv7Entries({ ...sizes, headSize: 8, ranks }, 'f32');
}

/** Accuracy on words of the training's length, at a step. */
export interface Point {
  readonly step: number;
  readonly loss: number;
  readonly accuracy: number;
}

const note = 'train-tiny';

/** What a checkpoint says beside its tensors. */
export function toNotes(settings: Settings, curve: readonly Point[]): ReadonlyMap<string, string> {
  return new Map([[note, JSON.stringify({ ...settings, curve })]]);
}

/** @throws FormatError when the file is no checkpoint of this example. */
export function fromNotes(
  label: string,
  notes: ReadonlyMap<string, string>,
): { readonly settings: Settings; readonly curve: readonly Point[] } {
  const text = notes.get(note);
  try {
    const { curve, ...settings } = JSON.parse(text ?? '') as Settings & { curve: Point[] };
    const { group, version, seed, steps } = settings;
    const whole = [seed, steps].every((n) => Number.isInteger(n) && n >= 0);
    if (
      Object.hasOwn(groups, group) &&
      versions.includes(version) &&
      whole &&
      Array.isArray(curve)
    ) {
      return { settings: { group, version, seed, steps }, curve };
    }
  } catch {
    // Said below.
  }
  throw new FormatError(
    `${label} was to be resumed, and is no checkpoint of train-tiny; give a file that --save wrote`,
  );
}
