import { Command, CommanderError, InvalidArgumentError, Option } from '@commander-js/extra-typings';
import {
  deviceNames,
  DeviceError,
  FormatError,
  initialWeights,
  openDevice,
  openWeights,
  saveCheckpoint,
  Trainer,
  UsageError,
  writeSafetensors,
  type Device,
} from 'rwkv-js';
import { formatCurve, formatExamination, formatPoint } from './report.ts';
import {
  batch,
  fromNotes,
  groups,
  schedule,
  tensorsOf,
  toNotes,
  versions,
  type Point,
  type Settings,
} from './settings.ts';
import { examine, train } from './train.ts';

/** What the command may touch of its process. Tests give it streams of their own. */
export interface Io {
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
}

/** @returns the exit code: 0; 1 when it failed; 2 when the command line is wrong; 130 after Ctrl-C */
export async function run(args: readonly string[], io: Io): Promise<number> {
  try {
    return await trainTiny(makeCommand(io).parse(args, { from: 'user' }).opts(), io);
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    const expected = [DeviceError, FormatError, UsageError].some((kind) => error instanceof kind);
    if (!(error instanceof Error && expected)) throw error;
    io.stderr.write(`train-tiny: ${error.message}\n`);
    return 1;
  }
}

function makeCommand(io: Io) {
  const steps = `how long (default: ${groups.s3.steps} for s3, ${groups.s5.steps} for s5)`;
  return new Command('train-tiny')
    .description(
      'Trains a tiny RWKV model on products of permutations, which need a state that is tracked: ' +
        'the tokens are swaps of neighbours, and after each the model says what all of them together do.',
    )
    .addOption(
      new Option('--group <name>', 'what is permuted, three things or five')
        .choices(['s3', 's5'] as const)
        .default('s3' as const),
    )
    .addOption(
      new Option('--version <n>', 'which RWKV learns').choices(versions).default('7' as const),
    )
    .addOption(
      new Option('--seed <n>', 'each gives other weights and other words')
        .argParser(wholeNumber(0, 2 ** 31 - 1))
        .default(1),
    )
    .addOption(new Option('--steps <n>', steps).argParser(wholeNumber(1, 1e6)))
    .option('--save <file>', 'where to save at the end and at Ctrl-C')
    .addOption(
      new Option('--resume <file>', 'go on from a saved file, with its settings').conflicts([
        'group',
        'version',
        'seed',
        'steps',
      ]),
    )
    .addOption(
      new Option('--device <name>', 'what to compute on').choices(deviceNames).default('cpu'),
    )
    .helpOption('--help', 'show this help')
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ npm run example -- train-tiny\n' +
        '  $ npm run example -- train-tiny --group s5 --save s5.safetensors\n' +
        '  $ npm run example -- train-tiny --resume s5.safetensors\n',
    )
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError(text, write) {
        const message = text.trim().replace(/^error: /, '');
        write(`train-tiny: ${message.replace(/\s*\n\s*/g, ' ')}\n`);
      },
    })
    .exitOverride();
}

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const n = /^\d+$/.test(text) ? Number(text) : NaN;
    if (n >= least && n <= most) return n;
    throw new InvalidArgumentError(`Give a whole number from ${least} to ${most}.`);
  };
}

type Options = ReturnType<ReturnType<typeof makeCommand>['opts']>;

async function trainTiny({ save, ...options }: Options, io: Io): Promise<number> {
  if (save !== undefined) await checkWritable(save);
  await using device = await openDevice(options.device);
  const begun =
    options.resume === undefined
      ? await begin({ ...options, steps: options.steps ?? groups[options.group].steps }, device)
      : await resume(options.resume, device);
  await using trainer = begun.trainer;
  const { settings } = begun;
  const curve = [...begun.curve];
  const { group, version, seed } = settings;
  io.stdout.write(
    `RWKV-${version} learns ${group.toUpperCase()}, seed ${seed}, on ${device.info.name}, ` +
      `from step ${trainer.step} of ${settings.steps}\n`,
  );

  const started = performance.now();
  for await (const point of train(trainer, settings, io.signal)) {
    curve.push(point);
    io.stdout.write(formatPoint(point, settings));
  }
  const seconds = (performance.now() - started) / 1000;
  const stopped = io.signal.aborted;
  const name = `train-tiny-${group}-rwkv${version}-seed${seed}-step${trainer.step}.safetensors`;
  const path = save ?? (stopped ? name : undefined);
  if (path !== undefined) await saveCheckpoint(path, trainer, toNotes(settings, curve));
  if (stopped) {
    io.stderr.write(
      `\nStopped after step ${trainer.step} and saved; to go on: ` +
        `npm run example -- train-tiny --resume ${path}\n`,
    );
    return 130;
  }
  io.stdout.write(`\n${formatCurve(curve, settings)}\n`);
  io.stdout.write(formatExamination(await examine(trainer, settings)));
  io.stdout.write(`\n${seconds.toFixed(0)} s of training${path ? `; saved as ${path}` : ''}\n`);
  return 0;
}

interface Begun {
  readonly trainer: Trainer;
  readonly settings: Settings;
  readonly curve: readonly Point[];
}

const shape = { tokens: batch.count * batch.length, slots: batch.count };

async function begin(options: Settings, device: Device): Promise<Begun> {
  const { group, version, seed, steps } = options;
  const settings = { group, version, seed, steps };
  const { rate } = schedule(settings);
  const weights = initialWeights(tensorsOf(settings), { seed, rate });
  return { trainer: await Trainer.create(device, weights, { shape }), settings, curve: [] };
}

async function resume(path: string, device: Device): Promise<Begun> {
  const source = await openWeights(path);
  try {
    const begun = fromNotes(path, source.metadata);
    return { ...begun, trainer: await Trainer.create(device, source, { shape }) };
  } finally {
    await source.close();
  }
}

/** Minutes of training should not end with a path that cannot be written. */
async function checkWritable(path: string): Promise<void> {
  const writer = await writeSafetensors(path, []);
  await writer.abort();
}
