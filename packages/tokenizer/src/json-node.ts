import { FormatError } from './errors.ts';
import { jsonErrorAt } from './json-error.ts';

/** A value of a JSON file, which knows where it stands: every message names the file and the place. */
export class JsonNode {
  readonly value: unknown;
  readonly #label: string;
  readonly #parent: JsonNode | undefined;
  readonly #key: string | number;

  private constructor(
    value: unknown,
    label: string,
    parent?: JsonNode | undefined,
    key: string | number = '',
  ) {
    this.value = value;
    this.#label = label;
    this.#parent = parent;
    this.#key = key;
  }

  /** Where it stands: `model.merges[3]`. Made when it is asked for: a file has 100,000 values. */
  get path(): string {
    if (this.#parent === undefined) return '';
    const before = this.#parent.path;
    if (typeof this.#key === 'number') return `${before}[${this.#key}]`;
    if (!/^[A-Za-z_]\w*$/.test(this.#key)) {
      return `${before}[${JSON.stringify(this.#key.slice(0, 40))}]`;
    }
    return before === '' ? this.#key : `${before}.${this.#key}`;
  }

  /** @throws FormatError for what is not JSON, with the line and the column. */
  static parse(text: string, label: string): JsonNode {
    try {
      return new JsonNode(JSON.parse(text), label);
    } catch (cause) {
      const { at, expected } = jsonErrorAt(text);
      const before = text.slice(0, at).split('\n');
      const found =
        at >= text.length ? 'the end of the file' : JSON.stringify(text.slice(at, at + 20));
      throw new FormatError(
        `Reading the vocabulary ${label}, line ${before.length}, column ` +
          `${before.at(-1)!.length + 1}: found ${found}, expected ${expected}; use an unchanged ` +
          `copy of the file.`,
        { cause },
      );
    }
  }

  fail(found: string, expected: string): never {
    const place = this.#parent === undefined ? '' : `, at ${this.path}`;
    throw new FormatError(
      `Reading the vocabulary ${this.#label}${place}: found ${found}, expected ${expected}; use an ` +
        `unchanged copy of the file.`,
    );
  }

  /** Whether there is a value other than null. */
  get present(): boolean {
    return this.value !== undefined && this.value !== null;
  }

  /** What the value is, in few words. */
  get shown(): string {
    if (this.value === undefined) return 'nothing';
    if (Array.isArray(this.value)) return `an array of ${this.value.length}`;
    const text = JSON.stringify(this.value);
    return text.length > 60 ? `${text.slice(0, 60)}…` : text;
  }

  /** A member of an object, which may be missing. */
  get(key: string): JsonNode {
    const object = this.object();
    return this.#child(Object.hasOwn(object, key) ? object[key] : undefined, key);
  }

  object(expected = 'an object'): Readonly<Record<string, unknown>> {
    const { value } = this;
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      return this.fail(this.shown, expected);
    }
    return value as Readonly<Record<string, unknown>>;
  }

  /** The members of an object, in the order of the file but for keys that are numbers. */
  entries(expected?: string): (readonly [key: string, member: JsonNode])[] {
    return Object.entries(this.object(expected)).map(([key, value]) => [
      key,
      this.#child(value, key),
    ]);
  }

  elements(expected = 'an array'): JsonNode[] {
    if (!Array.isArray(this.value)) return this.fail(this.shown, expected);
    return this.value.map((value: unknown, n) => this.#child(value, n));
  }

  string(expected = 'a string'): string {
    return typeof this.value === 'string' ? this.value : this.fail(this.shown, expected);
  }

  /** A member that may be left out, which is then false. */
  flag(): boolean {
    if (!this.present) return false;
    return typeof this.value === 'boolean' ? this.value : this.fail(this.shown, 'true or false');
  }

  wholeNumber(most: number): number {
    const { value } = this;
    if (typeof value === 'number' && Number.isInteger(value) && value >= 0 && value <= most) {
      return value;
    }
    return this.fail(this.shown, `a whole number from 0 to ${most}`);
  }

  /** Refuses a setting that this package does not carry out, so that it is never ignored. */
  only(...accepted: readonly unknown[]): void {
    if (!accepted.includes(this.value)) {
      this.fail(
        this.shown,
        accepted.map((one) => (one === undefined ? 'nothing' : JSON.stringify(one))).join(' or '),
      );
    }
  }

  #child(value: unknown, key: string | number): JsonNode {
    return new JsonNode(value, this.#label, this, key);
  }
}
