/** Data of one content: names of the file and of all that is made from it begin alike. */
export function contentPrefix(sha256: string): string {
  return `${sha256.slice(0, 12)}-`;
}

/** The name of a whole file. One that every file system takes; the end of a name tells most. */
export function wholeName(sha256: string, name: string): string {
  return contentPrefix(sha256) + name.replace(/[^\w.-]+/g, '-').slice(-100);
}

/**
 * The name of weights that were packed for a device, beside the file they are made from: by the content
 * of that file, what they were packed into, and the version of that format. A new version has a new
 * name, a file that changes takes those of the old one with it.
 *
 * @param layout such as `webgpu-q4`: letters, digits, `-`, `_` and `.`
 */
export function packedName(sha256: string, layout: string, version: number): string {
  return `${contentPrefix(sha256)}packed-${layout}-v${version}`;
}

/** Of data that is being made from a file, whose content may not be known yet. */
export const makingPrefix = 'making-';
