export { ByteTokenizer } from './byte-tokenizer.ts';
export { FormatError, UsageError } from './errors.ts';
export { parseVocabulary } from './parse-vocabulary.ts';
export type { TextStream } from './text-stream.ts';
export type { Tokenizer } from './tokenizer.ts';
export type { WorldTokenizer } from './world-tokenizer.ts';
