import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describeBrowser } from '@rwkv-js/browser-testing';
import { describeShared, readShared } from '@rwkv-js/testing';
import { expect, onTestFinished, test } from 'vitest';
import { begun, openChat, rambling, useChat } from './open-chat.ts';
import { serveFolder } from './static-site.ts';
import { letters, tinyModel } from './tiny-model.ts';

useChat();

describeBrowser('the page', () => {
  test('tells a story, stops at once, goes on, forks, and is all there without a network', async () => {
    const settings = { device: 'wasm', maxTokens: 5000, sampling: rambling };
    const chat = await openChat({ settings });
    const { page, site } = chat;
    await chat.picture('desktop-choice');
    await chat.startStoryteller();
    await chat.picture('desktop-empty');
    await chat.send('Once upon a time');
    await expect.poll(() => chat.words()).toMatch(begun);
    await page.keyboard.press('Escape');
    await chat.settled();
    const stopped = await chat.words();
    await page.waitForTimeout(200);
    expect(await chat.words()).toBe(stopped);

    await page.getByRole('spinbutton', { name: 'Most tokens' }).fill('30');
    await page.getByRole('button', { name: 'Continue' }).click();
    await chat.settled();
    const longer = await chat.words();
    expect(longer.length).toBeGreaterThan(stopped.length);
    expect(longer.startsWith(stopped)).toBe(true);

    await page.getByRole('button', { name: 'Fork here' }).click();
    await expect.poll(() => page.locator('.column').count()).toBe(2);
    await chat.send('Suddenly a dragon came.', 1);
    await chat.send('Then it was night.', 0);
    await chat.settled();
    const [left, right] = [await chat.words(0), await chat.words(1)];
    expect(left.startsWith(`${longer} Then it was night.`)).toBe(true);
    expect(right.startsWith(`${longer} Suddenly a dragon came.`)).toBe(true);
    expect(left.length).toBeGreaterThan(longer.length + 20);
    await chat.picture('desktop-fork');

    await page.evaluate(async () => {
      await navigator.serviceWorker.ready;
    });
    await site.close();
    await page.reload();
    await expect.poll(() => chat.words(1), { timeout: 20_000 }).toBe(right);
    expect(await chat.words(0)).toBe(left);
    // Its service worker lends the page the headers that its server does not send.
    expect(await page.evaluate(() => crossOriginIsolated)).toBe(true);
    await page.getByRole('button', { name: 'Continue' }).nth(1).click({ timeout: 20_000 });
    await expect.poll(() => chat.words(1)).not.toBe(right);
    await chat.settled();
  });

  test('tells how far loading is in bytes, can be cancelled, and goes on where it was', async () => {
    const chat = await openChat({
      isolated: true,
      settings: { device: 'wasm', maxTokens: 8 },
      slow: { files: /safetensors$/, pause: 60 },
    });
    const { page } = chat;
    const start = page.getByRole('button', { name: 'Start the storyteller' });
    await start.click();
    const figures = page.locator('.figures');
    await expect.poll(() => figures.innerText()).toMatch(/^[\d.]+ [kM]B of 6\.8 MB$/);
    const share = (): Promise<number> =>
      page.locator('progress').evaluate((bar: HTMLProgressElement) => bar.value);
    const first = await share();
    await expect.poll(share).toBeGreaterThan(first);
    await chat.picture('desktop-loading');
    await page.getByRole('button', { name: 'Cancel' }).click();
    await start.waitFor();
    expect(await page.locator('.notice').count()).toBe(0);
    await chat.startStoryteller();
    expect(await page.locator('.facts').innerText()).toMatch(/SIMD, (?!one)\d+ threads/);
  });

  test('a text can be edited and tried again, and every version stays', async () => {
    const chat = await openChat({ settings: { device: 'wasm', maxTokens: 12, seed: undefined } });
    const { page } = chat;
    await chat.startStoryteller();
    await chat.send('Tom had a red ball.');
    await chat.settled();
    const first = await chat.words();
    await page.getByRole('button', { name: 'Write another version' }).click();
    await expect.poll(() => chat.words()).toContain('2/2');
    await chat.settled();
    await page.getByRole('button', { name: 'Version before' }).click();
    expect((await chat.words()).replace(' 1/2', '')).toBe(first);

    await page.getByRole('button', { name: 'Edit and write again' }).click();
    const field = page.getByRole('textbox', { name: 'Text to go on from' });
    expect(await field.inputValue()).toBe('Tom had a red ball.');
    await chat.send('Lily had a cat.');
    await chat.settled();
    expect(await chat.words()).toMatch(/^Lily had a cat\. .*2\/2/);
    await page.getByRole('button', { name: 'Version before' }).first().click();
    expect(await chat.words()).toContain('Tom had a red ball.');
  });

  test('where the model ends a text, it goes on with another', async () => {
    const chat = await openChat({ settings: { device: 'wasm', maxTokens: 1500 } });
    const { page } = chat;
    await chat.startStoryteller();
    await chat.send('The end of the story was this: they lived happily ever after.');
    await chat.settled();
    const first = await chat.words();
    await page.getByRole('spinbutton', { name: 'Most tokens' }).fill('20');
    await page.getByRole('button', { name: 'Continue' }).click();
    await expect.poll(() => chat.words()).toContain('⁂');
    await chat.settled();
    const both = await chat.words();
    expect(both.startsWith(`${first} ⁂ `)).toBe(true);
    expect(both.length).toBeGreaterThan(first.length + 20);
    expect(await page.locator('.notice').count()).toBe(0);
  });

  test('a state goes to a file and back, and the text goes on from it alike', async () => {
    const chat = await openChat({
      settings: { device: 'wasm', maxTokens: 20, sampling: { temperature: 0 } },
    });
    const { page } = chat;
    await chat.startStoryteller();
    await chat.send('Once upon a time');
    await chat.settled();
    const before = await chat.words();
    const waiting = page.waitForEvent('download');
    await page.getByRole('button', { name: 'Save the state to a file' }).click();
    const file = await readFile(await (await waiting).path());
    await page.getByRole('button', { name: 'Continue' }).click();
    await chat.settled();
    const after = await chat.words();

    await chat.drop({ 'story.safetensors': file });
    await expect.poll(() => page.locator('.column').count()).toBe(2);
    expect(await chat.words(1)).toMatch(/^story\.safetensors: \d+ tokens, already read$/);
    await page.getByRole('button', { name: 'Continue' }).nth(1).click();
    await expect
      .poll(() => page.locator('.column').nth(1).getByRole('button', { name: 'Copy' }).count())
      .toBe(1);
    const going = (await chat.words(1)).replace(/^.*already read /, '');
    expect(after).toBe(`${before} ${going}`.replace(/ ([,.!?])/g, '$1'));
  });

  test('a model file that is dropped is opened with its vocabulary, and kept for the next visit', async () => {
    const chat = await openChat({ settings: { device: 'wasm', maxTokens: 5 } });
    const { page } = chat;
    await chat.drop({ 'tiny.safetensors': await tinyModel() });
    const question = page.getByRole('alert');
    await question.waitFor();
    expect(await question.innerText()).toMatch(/tiny\.safetensors has weights and no vocabulary/);
    await chat.picture('desktop-vocabulary');
    await chat.drop({ 'letters.txt': letters(12) });
    await chat.send('abc');
    await page.getByRole('button', { name: 'Copy' }).waitFor();
    const text = await chat.words();
    expect(text).toMatch(/^abc[a-k]*$/);
    await page.reload();
    await page.locator('.facts').waitFor();
    expect(await chat.words()).toBe(text);
    await chat.send('de');
    await page.getByRole('button', { name: 'Copy' }).nth(1).waitFor();
    await page.getByRole('button', { name: 'tiny.safetensors' }).click();
    await page.getByRole('button', { name: 'Delete tiny.safetensors' }).click();
    await expect
      .poll(() => page.getByRole('button', { name: 'Delete tiny.safetensors' }).count())
      .toBe(0);
  });

  test('an address is fetched once with its vocabulary, and opened from the browser after that', async () => {
    const hub = await mkdtemp(join(tmpdir(), 'rwkv-hub-'));
    onTestFinished(() => rm(hub, { recursive: true, force: true }));
    await writeFile(join(hub, 'tiny.safetensors'), await tinyModel());
    await writeFile(join(hub, 'letters.txt'), letters(12));
    const server = await serveFolder(hub, { forAll: true });
    onTestFinished(() => server.close());
    const chat = await openChat({ isolated: true, settings: { device: 'wasm', maxTokens: 5 } });
    const { page } = chat;
    await page.getByRole('textbox', { name: 'Model' }).fill(`${server.url}tiny.safetensors`);
    await page.getByText('Vocabulary and access token').click();
    await page.getByRole('textbox', { name: 'Vocabulary' }).fill(`${server.url}letters.txt`);
    await page.getByRole('button', { name: 'Fetch and open' }).click();
    await page.locator('.facts').waitFor();

    await server.close();
    await page.reload();
    await page.locator('.facts').waitFor();
    await chat.send('abc');
    await page.getByRole('button', { name: 'Copy' }).waitFor();
    expect(await chat.words()).toMatch(/^abc[a-k]*$/);
    await page.getByRole('button', { name: 'tiny.safetensors' }).click();
    const forget = page.getByRole('button', { name: /^Delete .*tiny\.safetensors/ });
    await forget.click();
    await forget.waitFor({ state: 'detached' });
  });

  test('a chat goes in turns, and what a model thinks is folded', async () => {
    const chat = await openChat({ settings: { device: 'wasm', maxTokens: 20 } });
    const { page } = chat;
    await chat.startStoryteller();
    await page.getByRole('combobox', { name: 'Format' }).selectOption('g1');
    await chat.send('What is <|endoftext|>?\n\nUser: a fox?');
    const thoughts = page.locator('.thoughts');
    await thoughts.getByText('Thoughts, not finished').waitFor();
    expect(await thoughts.getAttribute('open')).toBeNull();
    // What looks like a role or a token in a user's words is words.
    expect(await page.locator('.turn').count()).toBe(2);
    expect(await page.locator('.turn.user p').innerText()).toContain('<|endoftext|>');
    await page.getByRole('combobox', { name: 'Format' }).selectOption('world');
    await chat.send('And a dog?');
    await chat.settled();
    expect(await page.locator('.turn.model').count()).toBe(2);
    await chat.picture('desktop-chat');
  });
});

describeShared('golden models', () => {
  describeBrowser('dropped on the page', () => {
    test('a .gguf has its vocabulary, a .pth is given one', async () => {
      const chat = await openChat({ settings: { device: 'wasm', maxTokens: 8 } });
      const { page } = chat;
      await chat.drop({ 'model.gguf': readShared('golden/v7/model.q8_0.gguf') });
      await page.locator('.suggestion:enabled').first().waitFor();
      await chat.send('1 + 2');
      await expect.poll(() => page.locator('.facts').innerText()).toMatch(/RWKV-7.*q8/);
      await page.getByRole('button', { name: 'Copy' }).waitFor();

      await chat.drop({
        'model.pth': readShared('golden/v6/model.pth'),
        'letters.txt': letters(64),
      });
      await expect.poll(() => page.locator('.facts').innerText()).toMatch(/RWKV-6.*bf16/);
      page.once('dialog', (dialog) => void dialog.accept());
      await page.getByRole('button', { name: 'Begin anew' }).click();
      await chat.send('hello');
      await page.getByRole('button', { name: 'Copy' }).waitFor();
      expect(await chat.words()).toMatch(/^hello/);
    });
  });
});
