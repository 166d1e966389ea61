import { hasBytes } from './container.ts';

/** A kind of file that is recognised and not read, and what to do about it. */
interface Refusal {
  readonly recognises: (head: Uint8Array) => boolean;
  /** Follows "the file is ". */
  readonly says: string;
}

const textOf = (head: Uint8Array): string =>
  new TextDecoder('latin1').decode(head).trimStart().toLowerCase();

const begins =
  (...beginnings: readonly (readonly number[] | string)[]) =>
  (head: Uint8Array): boolean =>
    beginnings.some((beginning) => hasBytes(head, beginning));

const archive = (format: string): string => `${format}; unpack it and open the weight file in it`;

/** In order: the first that recognises a file names it. */
const refusals: readonly Refusal[] = [
  {
    recognises: begins('version https://git-lfs'),
    says: 'a git-lfs pointer, not the weights it stands for; fetch the real file with git lfs pull',
  },
  {
    recognises: (head) => {
      const text = textOf(head);
      return (
        text.startsWith('<!doctype html') || text.startsWith('<html') || /^<.*<html/s.test(text)
      );
    },
    says: 'a web page saved in place of the weights; download the file itself, not a page about it',
  },
  {
    recognises: (head) => textOf(head).startsWith('<?xml'),
    says: 'an XML document, such as the error of a file server; download the weights again',
  },
  {
    recognises: begins('lmgg', 'tjgg'),
    says: 'an old ggml file (ggml or ggjt), which is no longer in use; convert the model again',
  },
  {
    recognises: (head) => /^[[{]\s*["[{}\]]/.test(textOf(head)),
    says: 'JSON text; weights are in the .pth or .safetensors file beside it',
  },
  { recognises: begins([0x1f, 0x8b]), says: archive('compressed with gzip') },
  { recognises: begins([0x28, 0xb5, 0x2f, 0xfd]), says: archive('compressed with Zstandard') },
  { recognises: begins([0xfd, 0x37, 0x7a, 0x58, 0x5a]), says: archive('compressed with xz') },
  { recognises: begins([0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]), says: archive('a 7-Zip archive') },
  {
    recognises: (head) => hasBytes(head, 'ustar', 257),
    says: archive(
      'a tar archive (torch before 0.1.10 wrote weights so, save them anew if it is one)',
    ),
  },
  {
    recognises: begins([0x80, 0x02], [0x80, 0x03], [0x80, 0x04], [0x80, 0x05]),
    says: 'a Python pickle without the beginning that torch.save writes; save the weights with torch.save',
  },
];

/** What is said of a file that is none of the formats that are read; undefined when it is unknown. */
export function refusalFor(head: Uint8Array): string | undefined {
  return refusals.find(({ recognises }) => recognises(head))?.says;
}
