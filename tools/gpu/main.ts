/**
 * Everything that is said of the WebGPU device on a real adapter, on a machine that has nothing but a
 * driver: conformance, equality with the reference on the stories model, speed. `build.ts` makes one file
 * of it; README.md says how to bring it there.
 *
 *   node main.mjs [conformance] [stories PATH] [recurrence] [speed SIZE FORMAT …] [wide] [profile]
 *
 * `speed` writes with one sequence; `wide` adds 32 sequences and prompts; `recurrence` is that of prompts alone.
 */
import { openCpu } from '@rwkv-js/core';
import { LanguageModel } from '@rwkv-js/language';
import { openWebGpu } from '@rwkv-js/webgpu';
import { openWeights } from '@rwkv-js/weights';
import { conformanceCases } from '../../packages/testing/src/conformance/cases.ts';
import { firstDifference, runCase } from '../../packages/testing/src/conformance/run-case.ts';
import { measureRecurrence } from './recurrence.ts';
import { batch, dawnFlags, decode, measure, prompt } from './speed.ts';

async function conformance(): Promise<void> {
  const device = await openWebGpu({ dawn: dawnFlags() });
  let wrong = 0;
  for (const one of conformanceCases) {
    await using oracle = openCpu({ precision: 'f64' });
    const difference = firstDifference(one, await runCase(device, one), await runCase(oracle, one));
    if (difference === undefined) continue;
    wrong += 1;
    console.log(`WRONG ${one.op}: ${one.name}: ${difference}`);
  }
  console.log(
    `conformance: ${conformanceCases.length - wrong} of ${conformanceCases.length} agree`,
  );
  await device.dispose();
}

/** Greedy 40 tokens of the stories model, on this device and on the reference. */
async function stories(path: string): Promise<void> {
  const written: string[] = [];
  for (const device of [openCpu(), await openWebGpu({ dawn: dawnFlags() })]) {
    const source = await openWeights(path);
    const model = await LanguageModel.load(source, { device });
    const generation = model.generate({ maxTokens: 40, temperature: 0 });
    for await (const _ of generation);
    written.push(generation.tokens.join(' '));
    await model.dispose();
    await source.close();
    await device.dispose();
  }
  console.log(`stories, 40 tokens, greedy: ${written[0] === written[1] ? 'equal' : 'DIFFERENT'}`);
  if (written[0] !== written[1]) console.log(written.join('\n'));
}

const words = process.argv.slice(2);
const profile = words.includes('profile');
const probe = await openWebGpu({ dawn: dawnFlags() });
console.log(probe.info.description);
await probe.dispose();
for (let at = 0; at < words.length; at++) {
  if (words[at] === 'conformance') await conformance();
  else if (words[at] === 'stories') await stories(words[++at]!);
  else if (words[at] === 'recurrence') await measureRecurrence(profile);
  else if (words[at] === 'speed') {
    const [size, format] = [words[++at]!, words[++at] as 'f16' | 'q8' | 'q4'];
    const measures = words.includes('wide') ? [decode, batch, prompt(256), prompt(1024)] : [decode];
    await measure({ size, format, measures }, profile);
  }
}
