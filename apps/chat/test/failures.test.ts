import { describeBrowser } from '@rwkv-js/browser-testing';
import { expect, test } from 'vitest';
import { begun, openChat, plainHost, rambling, useChat, type Chat } from './open-chat.ts';
import { letters, tinyModel } from './tiny-model.ts';

useChat();

/** What the notices say. */
const notices = (chat: Chat): Promise<string> => chat.page.locator('.notices').innerText();

describeBrowser('when something fails', () => {
  test('a file that is no model is named as what it is, and the text stays', async () => {
    const chat = await openChat({ settings: { device: 'wasm', maxTokens: 10 } });
    await chat.drop({ 'page.pth': '<!doctype html><html><body>Sign in</body></html>' });
    await expect.poll(() => notices(chat)).toMatch(/a web page saved in place of the weights/);
    await chat.picture('desktop-web-page');
    await chat.startStoryteller();
    await chat.send('Once upon a time');
    await chat.settled();
    const text = await chat.words();

    const model = await tinyModel();
    await chat.drop({
      'cut.safetensors': model.subarray(0, model.length / 2),
      'vocab.txt': letters(12),
    });
    await expect.poll(() => notices(chat)).toMatch(/could not be loaded[^]*cut\.safetensors/);
    await chat.drop({ 'model.safetensors': model, 'vocab.txt': 'no vocabulary' });
    await expect.poll(() => notices(chat)).toMatch(/vocab\.txt/);
    // The model that was there goes on.
    expect(await chat.words()).toBe(text);
    await chat.page.getByRole('button', { name: 'Continue' }).click();
    await chat.settled();
    expect((await chat.words()).length).toBeGreaterThan(text.length);
  });

  test('an address that leads nowhere says so, and can be tried again', async () => {
    const chat = await openChat();
    const { page, site } = chat;
    await page.getByRole('textbox', { name: 'Model' }).fill(`${site.url}nothing.pth`);
    await page.getByRole('button', { name: 'Fetch and open' }).click();
    await expect.poll(() => notices(chat)).toMatch(/nothing\.pth.*404/);
    await page.getByRole('button', { name: 'Try again' }).waitFor();
  });

  test('on a full disk a dropped model runs and says that it is not kept; one to fetch says what it needs', async () => {
    const chat = await openChat({ onDisk: true, settings: { device: 'wasm', maxTokens: 10 } });
    const { page, context, site } = chat;
    const devtools = await context.newCDPSession(page);
    const { origin } = new URL(site.url);
    await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 10_000 });
    await page.getByRole('button', { name: 'Start the storyteller' }).click();
    await expect
      .poll(() => notices(chat), { timeout: 20_000 })
      .toMatch(/\d{7} more bytes are needed/);
    await chat.drop({ 'model.safetensors': await tinyModel(), 'vocab.txt': letters(12) });
    await expect.poll(() => notices(chat)).toMatch(/The model runs, but could not be kept.*1 MB/);
    await chat.send('abc');
    await page.getByRole('button', { name: 'Copy' }).waitFor();
    expect(await chat.words()).toMatch(/^abc/);
  });

  test('a refused graphics processor is said in plain words, and WASM does the work', async () => {
    const chat = await openChat({ settings: { device: 'webgpu', maxTokens: 10 } });
    await chat.startStoryteller();
    expect(await notices(chat)).toMatch(
      /WebGPU did not open, so the model runs on WebAssembly[^]*graphics/,
    );
    await chat.send('Once upon a time');
    await chat.settled();
    expect(await chat.words()).toMatch(/^Once upon a time, there was/);
    expect(await chat.page.locator('.facts dd').first().innerText()).toBe('WebAssembly');
    await chat.picture('desktop-refused');
  });

  test('without https it writes all the same, and says what is missing', async () => {
    const chat = await openChat({
      host: plainHost,
      settings: { device: 'wasm', maxTokens: 10 },
    });
    const { page } = chat;
    await chat.startStoryteller();
    await chat.send('Once upon a time');
    await chat.settled();
    expect(await chat.words()).toMatch(/^Once upon a time, there was/);
    expect(await page.locator('.help').first().innerText()).toMatch(
      /WebGPU needs a page served over https/,
    );
    await chat.drop({ 'model.safetensors': await tinyModel(), 'vocab.txt': letters(12) });
    await expect.poll(() => notices(chat)).toMatch(/could not be kept.*without https/);
  });

  test('a killed worker is started again, and the text goes on where it was', async () => {
    const chat = await openChat({
      settings: { device: 'wasm', maxTokens: 400, sampling: rambling },
    });
    await chat.startStoryteller();
    await chat.send('Once upon a time');
    await expect.poll(() => chat.words()).toMatch(begun);
    const before = await chat.words();
    const engine = chat.page.workers().find((worker) => /assets\/worker/.test(worker.url()));
    await engine!.evaluate(() => self.close());
    await expect.poll(() => notices(chat), { timeout: 10_000 }).toMatch(/The writing goes on/);
    await chat.settled();
    const text = await chat.words();
    expect(text.startsWith(before)).toBe(true);
    expect(text.length).toBeGreaterThan(before.length + 200);
    expect(await chat.page.locator('.broken').count()).toBe(0);
  });

  test(
    'the device changes in the midst of a text, and is lost: the text goes on',
    { timeout: 180_000 },
    async () => {
      const chat = await openChat({
        webGpu: true,
        settings: { device: 'wasm', maxTokens: 5000, sampling: rambling },
      });
      const { page } = chat;
      const engine = page.workers().find((worker) => /assets\/worker/.test(worker.url()));
      // What a driver that crashes does: the device goes, and there is no other.
      await engine!.evaluate(() => {
        interface Gpu {
          requestAdapter(): Promise<{ requestDevice(): Promise<{ destroy(): void }> } | null>;
        }
        const { gpu } = navigator as unknown as { gpu: Gpu };
        const ask = gpu.requestAdapter.bind(gpu);
        gpu.requestAdapter = async () => {
          const adapter = await ask();
          if (!adapter) return null;
          const request = adapter.requestDevice.bind(adapter);
          adapter.requestDevice = async (...how) => {
            const device = await request(...how);
            Object.assign(globalThis, {
              loseDevice() {
                gpu.requestAdapter = async () => null;
                device.destroy();
              },
            });
            return device;
          };
          return adapter;
        };
      });
      await chat.startStoryteller();
      await chat.send('Once upon a time');
      await expect.poll(() => chat.words()).toMatch(begun);
      await page.getByRole('radio', { name: 'WebGPU' }).check({ force: true });
      const device = page.locator('.facts dd').first();
      await expect.poll(() => device.innerText(), { timeout: 60_000 }).toBe('WebGPU');
      const before = await chat.words();
      await expect.poll(() => chat.words(), { timeout: 80_000 }).not.toBe(before);
      await engine!.evaluate(() => (globalThis as unknown as { loseDevice(): void }).loseDevice());
      await expect.poll(() => notices(chat), { timeout: 20_000 }).toMatch(/The device was lost/);
      await expect.poll(() => device.innerText()).toBe('WebAssembly');
      await page.keyboard.press('Escape');
      await chat.settled();
      expect((await chat.words()).startsWith(before)).toBe(true);
      await page.getByRole('spinbutton', { name: 'Most tokens' }).fill('10');
      await page.getByRole('button', { name: 'Continue' }).click();
      await chat.settled();
    },
  );
});
