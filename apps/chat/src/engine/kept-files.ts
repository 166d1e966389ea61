/**
 * Dropped model files, kept in the origin's private file system so that the next visit has them: a folder
 * for each, with the model and its vocabulary where it was given.
 */

const folderName = 'chat-models';
const vocabularyName = 'vocabulary';

/** Keeps a copy. @throws DOMException QuotaExceededError where there is no room. */
export async function keep(model: File, vocabulary: File | undefined): Promise<void> {
  const root = await folder(true);
  const name = encodeURIComponent(model.name);
  try {
    const into = await root!.getDirectoryHandle(name, { create: true });
    // The vocabulary first: a folder with a model is whole.
    if (vocabulary) await copy(vocabulary, into, vocabularyName);
    await copy(model, into, 'model');
  } catch (error) {
    await root!.removeEntry(name, { recursive: true }).catch(() => {});
    throw error;
  }
}

/** What is kept, with sizes in bytes. */
export async function kept(): Promise<readonly { name: string; bytes: number }[]> {
  const found: { name: string; bytes: number }[] = [];
  for await (const [name] of (await folder(false).catch(() => undefined)) ?? []) {
    const files = await open(decodeURIComponent(name)).catch(() => undefined);
    if (files) found.push({ name: files.model.name, bytes: files.model.size });
  }
  return found;
}

/** A kept model under its own name. @throws DOMException NotFoundError when it is not there. */
export async function open(name: string): Promise<{ model: File; vocabulary: File | undefined }> {
  const root = await folder(false);
  const from = await root?.getDirectoryHandle(encodeURIComponent(name));
  const model = await (await from!.getFileHandle('model')).getFile();
  const vocabulary = await from!
    .getFileHandle(vocabularyName)
    .then((handle) => handle.getFile())
    .catch(() => undefined);
  return {
    model: new File([model], name),
    vocabulary: vocabulary && new File([vocabulary], `the vocabulary of ${name}`),
  };
}

export async function forget(name: string): Promise<void> {
  await (await folder(false))?.removeEntry(encodeURIComponent(name), { recursive: true });
}

async function folder(create: boolean): Promise<FileSystemDirectoryHandle | undefined> {
  if (!navigator.storage?.getDirectory) throw new Error('a page without https may keep no files');
  if (!('createWritable' in FileSystemFileHandle.prototype)) {
    throw new Error('this browser lets pages write no files');
  }
  const root = await navigator.storage.getDirectory();
  try {
    return await root.getDirectoryHandle(folderName, { create });
  } catch (error) {
    if (!create) return undefined;
    throw error;
  }
}

async function copy(file: File, into: FileSystemDirectoryHandle, name: string): Promise<void> {
  const handle = await into.getFileHandle(name, { create: true });
  await file.stream().pipeTo(await handle.createWritable());
}
