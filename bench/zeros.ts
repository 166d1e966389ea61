import { linearOfSparse, sigmoid } from '@rwkv-js/core';
import { LanguageModel, weightsIn } from '@rwkv-js/language';
import { accumulate, rewrite, type Device, type DeviceTensor, type Program } from '@rwkv-js/tensor';
import { openWasm, openWeights, stories } from 'rwkv-js';
import { formatTable, spread } from './table.ts';

const formats = ['f16', 'q8', 'q4'] as const;

const rounds = 15;
const tokens = 150;

/**
 * What skipping the zeros of the channel mixing is worth: the stories model on one thread of the wasm device, as it is
 * and with a sigmoid in the way of every such product, which leaves no zeros; and how many zeros there are.
 *
 *     npm run bench -- zeros
 */
export async function benchZeros(): Promise<void> {
  const rows: string[][] = [];
  let text: readonly number[] = [];
  for (const format of formats) {
    await using device = await openWasm({ threads: 1 });
    const models = [await open(format, device), await open(format, withoutZeros(device))];
    const rates: number[][] = [[], []];
    // In turns; round 0 warms up.
    for (let round = 0; round <= rounds; round++) {
      for (const [which, model] of models.entries()) {
        const { rate, written } = await decode(model);
        if (round > 0) rates[which]!.push(rate);
        if (which === 0) text = written;
      }
    }
    const [skipped, taken] = rates.map((found) => spread(found));
    rows.push([
      format,
      ...[skipped!, taken!].flatMap(({ median, least, most }) => [
        median.toFixed(0),
        `${least.toFixed(0)}–${most.toFixed(0)}`,
      ]),
      (skipped!.median / taken!.median).toFixed(2),
    ]);
    for (const model of models) await model.dispose();
  }
  const heading = ['stories, one thread, tokens a second', 'skipped', '', 'no zeros', '', 'gain'];
  console.log(formatTable(heading, rows));
  // The last of a session's tokens waits for what is asked after it.
  const share = await shareOfZeros(text.slice(0, 65));
  console.log(
    `${(100 * share).toFixed(0)} % of what enters the value matrices is 0 while a story is read`,
  );
}

async function open(format: (typeof formats)[number], device: Device): Promise<LanguageModel> {
  const source = weightsIn(format, weightsIn('f16', await openWeights(stories.weights)));
  const model = await LanguageModel.load(source, { device });
  await source.close();
  return model;
}

async function decode(
  model: LanguageModel,
): Promise<{ readonly rate: number; readonly written: readonly number[] }> {
  const session = model.session();
  await session.feed([1, 2, 3]);
  const start = performance.now();
  const generation = session.generate({ maxTokens: tokens, temperature: 0, stopTokens: [] });
  await generation.text();
  const rate = (1000 * tokens) / (performance.now() - start);
  await session.dispose();
  return { rate, written: generation.tokens };
}

/** A device that compiles other programs than it is given. */
function compiling(device: Device, compile: Device['compile']): Device {
  return new Proxy(device, {
    get(target, property) {
      if (property === 'compile') return compile;
      const own: unknown = Reflect.get(target, property);
      return typeof own === 'function' ? (own.bind(target) as unknown) : own;
    },
  });
}

function withoutZeros(device: Device): Device {
  const change = (program: Program): Program =>
    rewrite(program, ({ definition }, [x, weight]) =>
      definition === linearOfSparse.definition ? [linearOfSparse(sigmoid(x!), weight!)] : undefined,
    );
  return compiling(device, (program, options) => device.compile(change(program), options));
}

/** Adds up what enters every such product: nothing of it is below 0. */
function keeping(device: Device, kept: DeviceTensor[]): Device {
  return compiling(device, (program, options = {}) => {
    const states = new Map(options.states);
    const changed = rewrite(program, ({ definition }, [x]) => {
      if (definition !== linearOfSparse.definition) return undefined;
      const name = `kept.${kept.length}`;
      const tensor = device.allocate(x!);
      kept.push(tensor);
      states.set(name, tensor);
      const sums = x!.recorder.state(name, x!);
      x!.recorder.update(sums, accumulate([sums, x!]));
      return undefined;
    });
    return device.compile(changed, { ...options, states });
  });
}

/** The share of zeros in what enters the value matrices while a text is read. */
async function shareOfZeros(text: readonly number[]): Promise<number> {
  const kept: DeviceTensor[] = [];
  await using device = await openWasm({ threads: 1 });
  const model = await open('f16', keeping(device, kept));
  await model.session().feed(text);
  let [zeros, all] = [0, 0];
  for (const tensor of kept) {
    const elements = Array.from(await device.read(tensor));
    zeros += elements.filter((x) => x === 0).length;
    all += elements.length;
  }
  await model.dispose();
  return zeros / all;
}
