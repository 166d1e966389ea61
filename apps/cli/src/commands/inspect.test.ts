import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeSafetensors, loadModel, openDevice } from 'rwkv-js';
import { expect, test } from 'vitest';
import { command, specificationFile, temporaryFolder } from '../../test/command.ts';

test('the embedded model is shown as its card describes it', async () => {
  const { code, stdout } = await command(['inspect']);
  expect(code).toBe(0);
  expect(stdout).toContain(
    'RWKV-7, 6 layers, width 256, 4 heads of 64, channel mix 1024, vocabulary 2,048',
  );
  expect(stdout).toContain('w 32, a 32, v 32, g 64');
  expect(stdout).toContain('6,288,896');
  expect(stdout).not.toContain('blocks.');
});

test('the memory it tells is what loading takes', async () => {
  const { memory } = JSON.parse((await command(['inspect', '--json'])).stdout);
  await using device = await openDevice();
  await using model = await loadModel({ device, slots: 1 });
  expect(model.bytes).toEqual({ parameters: memory.parameters, states: memory.statesPerSlot });
});

test('--tensors lists names, dtypes, shapes and bytes', async () => {
  const model = await specificationFile('5.2');
  const { stdout } = await command(['inspect', model, '--tensors']);
  expect(stdout).toMatch(/^name +dtype +shape +bytes$/m);
  expect(stdout).toMatch(/^emb\.weight +f32 +\[12, 16\] +768$/m);
  const report = JSON.parse((await command(['inspect', model, '--json'])).stdout);
  expect(report).toMatchObject({ container: 'safetensors', layout: 'official' });
  expect(report.model).toMatchObject({ version: '5.2', layers: 2, width: 16, heads: 2 });
  expect(report.tensors).toContainEqual({
    name: 'emb.weight',
    dtype: 'f32',
    shape: [12, 16],
    bytes: 768,
  });
});

test('a file of other tensors is shown too, and nothing in it steers the terminal', async () => {
  const path = join(await temporaryFolder(), 'other.safetensors');
  const tensor = { dtype: 'f32', shape: [2], data: new Float32Array(2) } as const;
  const metadata = new Map([['\u001b]0;title', 'a\nb']]);
  await writeFile(path, encodeSafetensors([{ ...tensor, name: 'red \u001b[31m' }], metadata));
  const { code, stdout } = await command(['inspect', path, '--tensors']);
  expect(code).toBe(0);
  expect(stdout).toMatch(/^layout +none$/m);
  expect(stdout).toMatch(/^model +none: .* no tensors 'blocks\.0\.…'/m);
  expect(stdout).toContain('red \\u{1b}[31m');
  expect(stdout).toContain('\\u{1b}]0;title: a\\u{a}b');
  expect(stdout).not.toContain('\u001b');
});

test('a model of sizes that no model has is shown with the reason', async () => {
  const path = await specificationFile('7', (tensor) =>
    tensor.name === 'blocks.0.att.w1'
      ? { ...tensor, shape: [16, 0], data: new Float32Array(0) }
      : tensor,
  );
  const { code, stdout, stderr } = await command(['inspect', path]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(stdout).toMatch(
    /^model +none: .*'blocks.0.att.w1' .* has the shape \[16, 0\] and so no elements/m,
  );
});

test('quantised tensors are shown with their format and the bytes they take in the file', async () => {
  const path = join(await temporaryFolder(), 'quantised.bin');
  const header = [0x67676d66, 101, 2, 64, 1, 9];
  const name = new TextEncoder().encode('head.weight!');
  const entry = [2, name.length, 9, 64, 2];
  const bytes = [...new Uint8Array(Uint32Array.of(...header, ...entry).buffer), ...name];
  await writeFile(path, Uint8Array.from([...bytes, ...new Uint8Array(4 * 34)]));
  const { stdout } = await command(['inspect', path, '--tensors']);
  expect(stdout).toMatch(/^container +rwkv\.cpp$/m);
  expect(stdout).toMatch(/^tensors +1 Q8_0; 136 bytes$/m);
  expect(stdout).toMatch(/^head\.weight! +Q8_0 +\[2, 64\] +136$/m);
});

test('lists in the metadata are shown by their length', async () => {
  const path = join(await temporaryFolder(), 'list.gguf');
  const key = new TextEncoder().encode('tokens');
  const list = new Uint8Array(Uint32Array.of(9, 8, 2, 0, 0, 0, 0, 0).buffer);
  const counts = new Uint8Array(Uint32Array.of(0x46554747, 3, 0, 0, 1, 0, 6, 0).buffer);
  await writeFile(path, Uint8Array.from([...counts, ...key, ...list]));
  const { stdout } = await command(['inspect', path]);
  expect(stdout).toMatch(/^container +GGUF$/m);
  expect(stdout).toMatch(/^metadata +tokens: 2 of string$/m);
});

test('an empty path is told to be one', async () => {
  const { code, stderr } = await command(['inspect', '']);
  expect(code).toBe(1);
  expect(stderr).toMatch(/^rwkv: [^\n]* the path is empty; [^\n]+\n$/);
});

test('the example of its help that looks for a tensor finds it', async () => {
  const { stdout } = await command(['inspect', '--help']);
  const word = / --tensors \| grep (\S+)/.exec(stdout)?.[1];
  expect((await command(['inspect', '--tensors'])).stdout).toContain(String(word));
});
