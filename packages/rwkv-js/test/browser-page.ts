/** What the tests of a page call in it. */
import {
  encodeState,
  loadModel,
  openCache,
  openDevice,
  readState,
  type LoadModelProgress,
} from '../src/index.ts';

const prompt = 'Once upon a time';

/** The first words of the embedded model on a device, and how it came. */
export async function tellStory(
  name: string,
  { beginning = prompt, maxTokens = 12 }: { beginning?: string; maxTokens?: number } = {},
): Promise<{
  readonly text: string;
  readonly again: string;
  readonly device: string;
  readonly progress: readonly LoadModelProgress[];
}> {
  const progress: LoadModelProgress[] = [];
  await using device = await openDevice(name);
  await using model = await loadModel({ device, progress: (one) => progress.push(one) });
  const options = { maxTokens, seed: 1 };
  const text = await model.generate({ prompt: beginning, ...options }).text();
  // The same from a state that was a file in between.
  const session = model.session();
  await session.feed([0, ...model.tokenizer!.encode(beginning)]);
  const file = new Blob([encodeState(await session.save()) as BlobPart]);
  const other = model.session({ state: await readState(file, { model }) });
  const again = await other.generate(options).text();
  return { text, again, device: device.info.name, progress };
}

/** The first words of a model in a File, as a page gets it when one is dropped there. */
export async function tellFromFile(weights: string, vocabulary: string): Promise<string> {
  const file = async (url: string): Promise<File> =>
    new File([await (await fetch(url)).blob()], url.slice(url.lastIndexOf('/') + 1));
  await using device = await openDevice();
  await using model = await loadModel(await file(weights), {
    device,
    vocabulary: await file(vocabulary),
  });
  return await model.generate({ prompt, maxTokens: 12, seed: 1, temperature: 0 }).text();
}

/** The first words of a model with an address. */
export async function tellFromAddress(weights: string, vocabulary: string): Promise<string> {
  await using device = await openDevice();
  await using model = await loadModel(new URL(weights, location.href), {
    device,
    vocabulary: new URL(vocabulary, location.href),
  });
  return await model.generate({ prompt, maxTokens: 12, seed: 1, temperature: 0 }).text();
}

/** Addresses in the cache, without their origins. */
export async function cached(): Promise<readonly string[]> {
  const entries = await (await openCache()).list();
  return entries.filter(({ whole }) => whole).map(({ address }) => new URL(address).pathname);
}

/** How a device that does not open says so. */
export async function refusal(name: string): Promise<string> {
  try {
    await (await openDevice(name)).dispose();
    return '';
  } catch (error) {
    return String(error);
  }
}
