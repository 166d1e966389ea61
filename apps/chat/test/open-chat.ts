import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { openBrowser, useBrowser, softwareWebGpu } from '@rwkv-js/browser-testing';
import { afterAll, beforeAll, expect, onTestFinished } from 'vitest';
import { serveFolder, type ServeOptions, type StaticSite } from './static-site.ts';

type BrowserContext = Awaited<ReturnType<ReturnType<typeof useBrowser>>>;
type Page = Awaited<ReturnType<BrowserContext['newPage']>>;

/** Sampling under which the storyteller hardly ever comes to an end: for what happens while it writes. */
export const rambling = { temperature: 1.5, topP: 1 };

/** What the beginning of a story shows when the first words are written. */
export const begun = /^Once upon a time.{12}/;

/** The name of a host without https, which is no localhost. */
export const plainHost = 'plain.example';

/** Where the page was built and the browsers that open it, for the tests of a file. */
interface Stage {
  readonly folder: () => string;
  readonly window: () => Promise<BrowserContext>;
  readonly windowWithWebGpu: () => Promise<BrowserContext>;
}

const run = promisify(execFile);

let stage: Stage;

/** Builds the page as it is deployed. Gives where it lies. */
export function useChat(): () => string {
  let folder = '';
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'rwkv-chat-'));
    // In a process of its own, for the one that tests is no production.
    const vite = fileURLToPath(new URL('../node_modules/vite/bin/vite.js', import.meta.url));
    await run(process.execPath, [vite, 'build', '--outDir', folder, '--emptyOutDir'], {
      cwd: fileURLToPath(new URL('..', import.meta.url)),
      env: { ...process.env, NODE_ENV: 'production' },
    });
  }, 120_000);
  afterAll(() => rm(folder, { recursive: true, force: true }));
  const host = plainHost;
  stage = {
    folder: () => folder,
    window: useBrowser({ host }),
    windowWithWebGpu: useBrowser({ host, flags: softwareWebGpu }),
  };
  return stage.folder;
}

export interface OpenChatOptions {
  readonly isolated?: boolean;
  /** With a profile on disk, whose storage has room to be taken away. */
  readonly onDisk?: boolean;
  /** In a browser that has it, on the processor. */
  readonly webGpu?: boolean;
  /** The page's settings, beside a seed. Default: on WASM. */
  readonly settings?: Readonly<Record<string, unknown>>;
  readonly viewport?: { readonly width: number; readonly height: number };
  readonly dark?: boolean;
  /** The name that the page is under; one that is not localhost has no secure context. */
  readonly host?: string;
  /** Makes files come slowly. */
  readonly slow?: ServeOptions['slow'];
}

/** The page in a browser of its own. */
export interface Chat {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly site: StaticSite;
  /** Loads the embedded model and waits until it is ready. */
  startStoryteller(): Promise<void>;
  /** Types into a column's field and sends. */
  send(text: string, column?: number): Promise<void>;
  /** Waits until nothing is being written. */
  settled(): Promise<void>;
  /** The words of a column. */
  words(column?: number): Promise<string>;
  /** Lets files fall on the page. */
  drop(files: Readonly<Record<string, Uint8Array | string>>): Promise<void>;
  /** Keeps a picture in the folder that SCREENSHOTS names, to look at. */
  picture(name: string): Promise<void>;
}

/** Opens the built page under a path of a plain server. Errors in its console fail the test. */
export async function openChat({
  isolated = false,
  onDisk = false,
  webGpu = false,
  settings = { device: 'wasm' },
  viewport = { width: 1280, height: 800 },
  dark = false,
  host,
  slow,
}: OpenChatOptions = {}): Promise<Chat> {
  const site = await serveFolder(stage.folder(), { path: '/some/where/', isolated, slow });
  onTestFinished(() => site.close());
  const context = await (onDisk
    ? openBrowser()
    : webGpu
      ? stage.windowWithWebGpu()
      : stage.window());
  const page = await context.newPage();
  await page.setViewportSize(viewport);
  await page.emulateMedia({ colorScheme: dark ? 'dark' : 'light' });
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(String(error)));
  onTestFinished(() => expect(errors).toEqual([]));
  const stored = JSON.stringify({ seed: 1, maxTokens: 60, ...settings });
  await page.addInitScript((text) => {
    if (!localStorage.getItem('rwkv-chat settings')) {
      localStorage.setItem('rwkv-chat settings', text);
    }
  }, stored);
  await page.goto(host ? site.url.replace('127.0.0.1', host) : site.url);
  const column = (index: number) => page.locator('.column').nth(index);
  return {
    page,
    context,
    site,
    async startStoryteller() {
      await page.getByRole('button', { name: 'Start the storyteller' }).click();
      await page.locator('.suggestion:enabled').first().waitFor();
    },
    async send(text, index = 0) {
      const field = column(index).getByRole('textbox');
      await field.fill(text);
      await field.press('Enter');
    },
    async settled() {
      await page.locator('.stop').first().waitFor({ state: 'detached' });
    },
    async words(index = 0) {
      return (await column(index).locator('.scroller').innerText()).replace(/\s+/g, ' ').trim();
    },
    async drop(files) {
      const encoded = Object.entries(files).map(([name, content]) => [
        name,
        Buffer.from(content).toString('base64'),
      ]);
      const transfer = await page.evaluateHandle((all) => {
        const data = new DataTransfer();
        for (const [name, base64] of all) {
          const bytes = Uint8Array.from(atob(base64!), (letter) => letter.charCodeAt(0));
          data.items.add(new File([bytes], name!));
        }
        return data;
      }, encoded);
      await page.dispatchEvent('body', 'drop', { dataTransfer: transfer });
    },
    async picture(name) {
      const into = process.env['SCREENSHOTS'];
      if (!into) return;
      await mkdir(into, { recursive: true });
      await page.screenshot({ path: join(into, `${name}.png`) });
    },
  };
}
