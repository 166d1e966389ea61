import { describe, expect, test } from 'vitest';
import { quoted, readPythonLiteral } from './python-literal.ts';

const utf8 = new TextEncoder();

function read(literal: string): number[] {
  const source = utf8.encode(literal);
  const target = new Uint8Array(source.length);
  const end = readPythonLiteral(source, 0, source.length, target, 0, (found, expected) => {
    throw new Error(`found ${found}, expected ${expected}`);
  });
  return [...target.subarray(0, end)];
}

describe('a Python literal', () => {
  test.each([
    [`'a b'`, [...utf8.encode('a b')]],
    [`"it's"`, [...utf8.encode("it's")]],
    [`'say "hi"'`, [...utf8.encode('say "hi"')]],
    [`'é你🙂'`, [...utf8.encode('é你🙂')]],
    [String.raw`'\\\'\"\n\r\t'`, [0x5c, 0x27, 0x22, 10, 13, 9]],
    [String.raw`'\a\b\f\v'`, [7, 8, 12, 11]],
    [String.raw`b'\a\b\f\v\\\'\"\n\r\t'`, [7, 8, 12, 11, 0x5c, 0x27, 0x22, 10, 13, 9]],
    [String.raw`'\x00\x7f'`, [0, 0x7f]],
    [String.raw`'\x80\xff'`, [0xc2, 0x80, 0xc3, 0xbf]],
    [String.raw`b'\x80\xfF'`, [0x80, 0xff]],
    [String.raw`'\u0041\u07ff\u0800\uffff'`, [...utf8.encode('A\u07ff\u0800\uffff')]],
    [String.raw`'\U00000041\U0001F642\U0010ffff'`, [...utf8.encode('A🙂\u{10ffff}')]],
    [`b"it's"`, [...utf8.encode("it's")]],
    [`''`, []],
  ])('%s is read as Python reads it', (literal, bytes) => {
    expect(read(literal)).toEqual(bytes);
  });

  test.each([
    [``, 'a Python literal'],
    [`a`, 'a Python literal'],
    [`b`, 'a Python literal'],
    [`r'a'`, 'a Python literal'],
    [`B'a'`, 'a Python literal'],
    [`'`, 'a closing quote'],
    [`'a`, 'a closing quote'],
    [`'a"`, 'a closing quote'],
    [String.raw`'a\'`, 'a closing quote'],
    ["'a\\", 'one of'],
    [`'a' 'b'`, 'one literal and no more'],
    [`'''a'''`, 'one literal and no more'],
    [`'a'.upper()`, 'one literal and no more'],
    [String.raw`'\q'`, 'one of'],
    [String.raw`'\0'`, 'one of'],
    [String.raw`'\N{BULLET}'`, 'one of'],
    [String.raw`b'\u0041'`, 'in a bytes literal'],
    [`b'é'`, 'ASCII and escapes'],
    [String.raw`'\x4'`, '2 hexadecimal digits after \\x'],
    [String.raw`'\x4g'`, '2 hexadecimal digits after \\x'],
    [String.raw`'\x4`, '2 hexadecimal digits after \\x'],
    [String.raw`'\u123'`, '4 hexadecimal digits after \\u'],
    [String.raw`'\U0001F64'`, '8 hexadecimal digits after \\U'],
    [String.raw`'\U00110000'`, 'a code point'],
    [String.raw`'\Uffffffff'`, 'a code point'],
    [String.raw`'\ud83d\ude42'`, 'not a surrogate'],
  ])('%s is refused', (literal, expected) => {
    expect(() => read(literal)).toThrow(expected);
  });
});

test('a quoted part of a file is escaped and cut', () => {
  const bytes = utf8.encode(`\n"${'x'.repeat(100)}`);
  expect(quoted(bytes, 0, 3)).toBe('"\\n\\"x"');
  expect(quoted(bytes, 0, bytes.length)).toBe(`"\\n\\"${'x'.repeat(38)}…"`);
});
