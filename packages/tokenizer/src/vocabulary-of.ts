/**
 * Which vocabulary a model with that many rows of embedding was most likely made for, in words, for
 * messages (specs/rwkv.md §7).
 */
export function vocabularyOf(rows: number): string {
  if (rows >= 65530 && rows <= 65536) return 'rwkv_vocab_v20230424.txt, as World models have it';
  if (rows >= 50277 && rows <= 50432) {
    return '20B_tokenizer.json, as the Pile and Raven models have it';
  }
  if (rows === 20096) return 'the tokenizer.json of the MIDI models';
  if (rows === 256) return 'none at all, for a model that reads bytes';
  return `the one it was trained with, of at most ${rows} tokens`;
}
