import { onTestFinished } from 'vitest';
import { launchPage, type OpenPageOptions, type TestPage } from './launch-page.ts';

/** `launchPage`; browser and server end with the test. */
export async function openPage<Exports>(
  entry: URL,
  options: OpenPageOptions = {},
): Promise<TestPage<Exports>> {
  const page = await launchPage<Exports>(entry, options);
  onTestFinished(() => page.close());
  return page;
}
