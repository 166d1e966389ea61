import { UsageError } from '@rwkv-js/tensor';
import { expect, test } from 'vitest';
import { isAddress, keyOf, parseAddress } from './address.ts';

test.each([
  ['hf:o/r/model.pth', 'https://huggingface.co/o/r/resolve/main/model.pth', 'hf:o/r/model.pth'],
  [
    'HF:o/r@main/a/b c.pth',
    'https://huggingface.co/o/r/resolve/main/a/b%20c.pth',
    'hf:o/r/a/b c.pth',
  ],
  ['hf:o/r@v1.0/m.st', 'https://huggingface.co/o/r/resolve/v1.0/m.st', 'hf:o/r@v1.0/m.st'],
  [
    'hf:o-1/r_2.x@refs%2Fpr%2F1/m.st',
    'https://huggingface.co/o-1/r_2.x/resolve/refs%2Fpr%2F1/m.st',
    'hf:o-1/r_2.x@refs%2Fpr%2F1/m.st',
  ],
  ['http://h:1/a/m.pth?sign=x#y', 'http://h:1/a/m.pth?sign=x', 'http://h:1/a/m.pth'],
])('%s is fetched from %s and called %s', (text, url, label) => {
  expect(isAddress(text)).toBe(true);
  expect(parseAddress(text)).toMatchObject({ label });
  expect(parseAddress(text).url.href).toBe(url);
});

test('an endpoint stands in for the hub, with or without a path', () => {
  const { url, label } = parseAddress('hf:o/r/m.pth', 'http://mirror.example:8080/hub/');
  expect(url.href).toBe('http://mirror.example:8080/hub/o/r/resolve/main/m.pth');
  expect(label).toBe('hf:o/r/m.pth');
});

test.each([
  'hf:',
  'hf:o/r',
  'hf:o/r/',
  'hf:o//m.pth',
  'hf:o/r/../../x',
  'hf:o/r/a//b',
  'hf:../r/m.pth',
  'hf:o/r@/m.pth',
  'http://',
  'ftp://h/m.pth',
  'model.pth',
  'https://user:word@h/m.pth',
])('%s is refused', (text) => {
  expect(() => parseAddress(text)).toThrow(UsageError);
});

test('secrets in an address that is refused are not shown', () => {
  expect(() => parseAddress('ftp://h/m.pth?token=secret')).toThrow(/^(?!.*secret)/);
  expect(() => parseAddress('https://user:word@h/m.pth?secret')).toThrow(/^(?!.*(word|secret))/);
});

test('paths are no addresses', () => {
  for (const text of ['model.pth', './hf:x', 'C:\\m.pth', 'file:///m.pth']) {
    expect(isAddress(text)).toBe(false);
  }
});

test('names in the cache are safe, differ with the query without showing it, and are one for all mirrors', async () => {
  const key = (text: string, endpoint?: string) => keyOf(parseAddress(text, endpoint));
  expect(await key('hf:o/r/a b.pth')).toMatch(/^hf-o-r-a-b\.pth-[0-9a-f]{16}$/);
  expect(await key('hf:o/r/m.pth', 'http://mirror')).toBe(await key('hf:o/r/m.pth'));
  expect(await key('hf:o/r@main/m.pth')).toBe(await key('hf:o/r/m.pth'));
  expect(await key('hf:o/r@v1/m.pth')).not.toBe(await key('hf:o/r/m.pth'));
  const signed = await key('http://h/m.pth?secret');
  expect(signed).not.toBe(await key('http://h/m.pth'));
  expect(signed).not.toContain('secret');
  expect(await key(`http://h/${'x'.repeat(500)}/..%2F..%2Fm.pth`)).toMatch(/^[\w.-]{1,100}$/);
});
