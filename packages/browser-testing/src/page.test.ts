import { expect, test } from 'vitest';
import { describeBrowser } from './describe-browser.ts';
import { openPage } from './page.ts';
import type { OpenPageOptions } from './launch-page.ts';

const open = (options?: OpenPageOptions) =>
  openPage<typeof import('../test/page.ts')>(new URL('../test/page.ts', import.meta.url), options);

describeBrowser('a module in a page', () => {
  test('is called with plain data, gives what it gives, and throws what it throws', async () => {
    const page = await open();
    expect(await page.call('add', 1, 2)).toBe(3);
    await expect(page.call('fail', 'out of reach')).rejects.toThrow(/RangeError: out of reach/);
  });

  test('finds files beside it, and none that were not named', async () => {
    const file = new URL('../package.json', import.meta.url);
    const page = await open({ files: { '/data/file.txt': file } });
    expect(await page.call('firstLine')).toBe('{');
    expect(await (await open()).call('firstLine')).toBe('');
  });

  test('has shared memory where it is isolated, and only there', async () => {
    expect(await (await open({ isolated: true })).call('abilities')).toEqual({
      isolated: true,
      shared: true,
    });
    expect(await (await open()).call('abilities')).toMatchObject({ isolated: false });
  });

  test('begins anew when the page is reloaded, and what it says is kept', async () => {
    const page = await open();
    expect([await page.call('count'), await page.call('count')]).toEqual([1, 2]);
    await page.reload();
    expect(await page.call('count')).toBe(1);
    const said = page.console.filter((line) => line.startsWith('call'));
    expect(said).toEqual(['call 1', 'call 2', 'call 1']);
  });
});
