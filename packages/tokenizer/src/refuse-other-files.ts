import { FormatError } from './errors.ts';

/**
 * What people get when a download went wrong has a message of its own.
 *
 * @throws FormatError for an empty file, a web page, a Git LFS pointer, a compressed file.
 */
export function refuseOtherFiles(file: Uint8Array, label: string, expected: string): void {
  const start = new TextDecoder().decode(file.subarray(0, 64)).trimStart();
  const found =
    file.length === 0
      ? 'an empty file'
      : start.startsWith('<')
        ? 'a web page or XML'
        : start.startsWith('version https://git-lfs')
          ? 'a Git LFS pointer in place of the file'
          : undefined;
  if (found !== undefined) {
    throw new FormatError(
      `Reading the vocabulary ${label}: found ${found}, expected ${expected}; download the ` +
        `vocabulary file itself.`,
    );
  }
  if (file[0] === 0x1f && file[1] === 0x8b) {
    throw new FormatError(
      `Reading the vocabulary ${label}: found a file that is compressed with gzip, expected ` +
        `${expected}; unpack it with gunzip.`,
    );
  }
}
