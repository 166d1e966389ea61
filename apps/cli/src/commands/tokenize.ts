import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { openTokenizer, stories } from 'rwkv-js';
import { print, type Io } from '../io.ts';
import { examples } from '../options.ts';
import { readWhole } from '../read-file.ts';
import { parseTokens, printTokens } from '../token-list.ts';

/** `rwkv tokenize`: bytes to token ids and back. */
export function tokenizeCommand(io: Io): CommandUnknownOpts {
  return new Command('tokenize')
    .summary('turn standard input into token ids, or back')
    .description(
      'Turns standard input, as bytes, into a JSON array of token ids on standard output. ' +
        'With --decode turns a JSON array of ids back into the same bytes.',
    )
    .option(
      '--vocab <file>',
      "the vocabulary: the World vocabulary's text, a tokenizer.json, or JSON of ids and tokens " +
        '(default: that of the embedded model)',
    )
    .option('--decode', 'from ids to bytes', false)
    .option(
      '--special-tokens',
      'take the names of special tokens, such as <|endoftext|> of a tokenizer.json, for the tokens',
      false,
    )
    .addHelpText(
      'after',
      examples(
        "printf 'Once upon a time' | rwkv tokenize",
        'rwkv tokenize --vocab rwkv_vocab_v20230424.txt < book.txt > book.json',
        'rwkv tokenize --vocab 20B_tokenizer.json --special-tokens < pile.txt > pile.json',
        'rwkv tokenize --decode < ids.json',
      ),
    )
    .action(async ({ vocab, decode, specialTokens }) => {
      const tokenizer = await openTokenizer(vocab ?? stories.vocabulary, { signal: io.signal });
      const input = await readWhole('-', io);
      if (decode) await print(io.stdout, tokenizer.decodeBytes(parseTokens(input)));
      else await printTokens(io.stdout, tokenizer.encode(input.bytes, { specialTokens }));
    });
}
