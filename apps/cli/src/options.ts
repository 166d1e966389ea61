import { InvalidArgumentError, Option } from '@commander-js/extra-typings';
import { deviceNames } from 'rwkv-js';

/** Parses an option's number, or says what was expected. */
export function number(least: number, most: number): (text: string) => number {
  return parser(`a number from ${least} to ${most}`, (n) => n >= least && n <= most);
}

/** Parses an option's whole number, or says what was expected. */
export function wholeNumber(least: number, most: number): (text: string) => number {
  return parser(
    `a whole number from ${least} to ${most}`,
    (n) => Number.isInteger(n) && n >= least && n <= most,
  );
}

function parser(expected: string, accepts: (n: number) => boolean): (text: string) => number {
  return (text) => {
    const n = decimal.test(text) ? Number(text) : NaN;
    if (accepts(n)) return n;
    throw new InvalidArgumentError(`Give ${expected}.`);
  };
}

// Number() alone would take '', '0x10' and ' 7 '.
const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;

/** Parses an option's text, which must not be empty. */
export function someText(advice: string): (text: string) => string {
  return (text) => {
    if (text === '') throw new InvalidArgumentError(`It is empty; ${advice}.`);
    // A lone surrogate has no bytes, so no tokenizer can take it.
    if (/\p{Surrogate}/u.test(text)) {
      throw new InvalidArgumentError('It has half of a surrogate pair, which is no character.');
    }
    return text;
  };
}

/** What every command that takes a model calls it. */
export const modelArgument = {
  name: '[model]',
  description:
    'a .safetensors, .pth, .gguf or rwkv.cpp .bin file, the .index.json of a model in several files, ' +
    'or the address of one: hf:owner/repo/file, http(s) ' +
    '(default: the embedded story writer)',
} as const;

export const vocabularyOption = new Option(
  '--vocab <file>',
  "the model's vocabulary: the World vocabulary's text, a tokenizer.json, or JSON of ids and tokens " +
    '(default: of the embedded model; bytes for models with 256 tokens)',
);

export const deviceOption = new Option('--device <name>', 'what to compute on')
  .choices(deviceNames)
  .default('wasm');

export const normEpsilonOption = new Option(
  '--norm-epsilon <x>',
  'epsilon of the head normalisation, for weights that were made with another than 64e-5, ' +
    'such as 1e-5 (default: 0.00064)',
).argParser(parser('a number above 0 and up to 1', (n) => n > 0 && n <= 1));

/** A file that changes the model, and what scales it. */
export interface AdapterArgument {
  readonly file: string;
  readonly alpha?: number;
}

/** What every command that runs a model takes to change it with. */
export const adapterOption = new Option(
  '--adapter <file[:alpha]>',
  'a LoRA with its alpha, a DiSHA, a tuned state or whole tensors to merge into the model; may be repeated',
).argParser((text, before: readonly AdapterArgument[] | undefined): readonly AdapterArgument[] => [
  ...(before ?? []),
  parseAdapter(text),
]);

export const adapterInitOption = new Option(
  '--adapter-init <file>',
  'the start file of the adapter, which is then a PiSSA and has no alpha',
);

function parseAdapter(text: string): AdapterArgument {
  const [, file = text, alpha] = /^(.*):([^:/\\]*)$/s.exec(text) ?? [];
  // A number behind the last colon is alpha; C:\lora.pth and https://… have something else there.
  const parsed = alpha !== undefined && decimal.test(alpha) ? Number(alpha) : undefined;
  const path = parsed === undefined ? text : file;
  if (path === '') throw new InvalidArgumentError('It names no file; give FILE or FILE:ALPHA.');
  if (parsed === undefined) return { file: path };
  if (parsed > 0) return { file: path, alpha: parsed };
  throw new InvalidArgumentError(`Its alpha is ${alpha}; give a number above 0.`);
}

export const jsonOption = new Option('--json', 'print one JSON object instead');

/** Examples for the end of a command's help; lines that begin with a blank go on from the one before. */
export function examples(...lines: readonly string[]): string {
  const shown = lines.map((line) => (line.startsWith(' ') ? `  ${line}` : `  $ ${line}`));
  return `\nExamples:\n${shown.join('\n')}\n`;
}
