import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import {
  byteLength,
  dtypeName,
  elementCount,
  FormatError,
  modelMemory,
  openDevice,
  openWeights,
  readConfig,
  ShapeError,
  stories,
  UsageError,
  type Device,
  type ModelConfig,
  type ModelMemory,
  type OpenedWeights,
} from 'rwkv-js';
import { formatBytes, formatInteger, formatSizes, formatTable, printable } from '../format.ts';
import { print, type Io } from '../io.ts';
import { parameterCount } from '../model.ts';
import { deviceOption, examples, jsonOption, modelArgument } from '../options.ts';

/** `rwkv inspect`: what a file holds, from its header alone. */
export function inspectCommand(io: Io): CommandUnknownOpts {
  return new Command('inspect')
    .summary('show what a model file holds and the memory it needs')
    .description(
      'Shows what a model file holds and the memory it needs. Reads names and sizes alone, so it ' +
        'takes no time for files of any size.',
    )
    .argument(modelArgument.name, modelArgument.description)
    .option('--tensors', 'list every tensor', false)
    .addOption(deviceOption)
    .addOption(jsonOption)
    .addHelpText(
      'after',
      examples(
        'rwkv inspect rwkv7-g1-0.1b.pth',
        'rwkv inspect --tensors | grep att.key',
        'rwkv inspect rwkv7-g1-0.1b.pth --json',
      ),
    )
    .action(async (path, { tensors, json, device: deviceName }) => {
      await using device = await openDevice(deviceName, {
        report: (lines) => void io.stderr.write(`${lines}\n`),
      });
      const source = await openWeights(path ?? stories.weights, { signal: io.signal });
      try {
        const report = inspect(source, device);
        const text = json ? `${JSON.stringify(report)}\n` : formatReport(report, tensors);
        await print(io.stdout, text);
      } finally {
        await source.close();
      }
    });
}

/** What is known of a file. All sizes in bytes. */
interface Report {
  readonly file: string;
  readonly container: string;
  /** Whose names and orientations the file has; null for files that are no language model. */
  readonly layout: string | null;
  /** How many files hold the tensors. */
  readonly files: number;
  readonly metadata: Readonly<Record<string, string>>;
  /** Metadata that are lists: of what, and how long. */
  readonly lists: Readonly<Record<string, { elementType: string; length: number }>>;
  /** Null for files that are no RWKV language model; `reason` says why. */
  readonly model: ModelConfig | null;
  readonly reason?: string;
  readonly memory: ModelMemory | null;
  readonly parameters: number;
  readonly tensors: readonly Tensor[];
  /** Tensors that cannot be read, since they are of no dtype that models have. */
  readonly unsupported: readonly Omit<Tensor, 'bytes'>[];
}

interface Tensor {
  readonly name: string;
  /** As it is stored: a dtype, or a format of blocks such as Q4_K. */
  readonly dtype: string;
  readonly shape: readonly number[];
  readonly bytes: number;
}

function inspect(source: OpenedWeights, device: Device): Report {
  return {
    file: source.label,
    container: source.container,
    layout: source.layout ?? null,
    files: source.files,
    metadata: Object.fromEntries(source.metadata),
    lists: Object.fromEntries(
      Array.from(source.lists, ([name, { elementType, length }]) => [
        name,
        { elementType, length },
      ]),
    ),
    ...inspectModel(source, device),
    parameters: parameterCount(source),
    tensors: Array.from(source.tensors, ([name, { dtype, shape, blocks }]) => ({
      name,
      dtype: blocks?.name ?? dtypeName(dtype),
      shape,
      bytes: blocks
        ? (elementCount(shape) / blocks.elements) * blocks.bytes
        : byteLength({ dtype, shape }),
    })),
    unsupported: Array.from(source.unsupported, ([name, { elementType, shape }]) => ({
      name,
      dtype: elementType,
      shape,
    })),
  };
}

function inspectModel(
  source: OpenedWeights,
  device: Device,
): Pick<Report, 'model' | 'memory' | 'reason'> {
  try {
    return { model: readConfig(source), memory: modelMemory(source, device) };
  } catch (error) {
    // Names may be those of a model whose shapes fit nothing that can be planned.
    const told = [FormatError, ShapeError, UsageError].some((kind) => error instanceof kind);
    if (!told) throw error;
    return { model: null, memory: null, reason: (error as Error).message };
  }
}

function formatReport(report: Report, listTensors: boolean): string {
  const { model, memory } = report;
  const rows = [
    ['file', printable(report.file)],
    ['container', report.container + (report.files > 1 ? `, ${report.files} files` : '')],
    ['layout', report.layout ?? 'none'],
    ['model', model ? formatSizes(model) : `none: ${printable(report.reason ?? '')}`],
  ];
  const ranks = Object.entries(model?.ranks ?? {}).map(([name, rank]) => `${name} ${rank}`);
  if (ranks.length > 0) rows.push(['ranks', ranks.join(', ')]);
  rows.push(['parameters', formatInteger(report.parameters)], ['tensors', formatDTypes(report)]);
  if (memory) {
    const { parameters, statesPerSlot, savedState } = memory;
    rows.push(
      ['memory', `${formatBytes(parameters)} for the parameters on a device`],
      ['', `${formatBytes(statesPerSlot)} for each sequence on it`],
      ['state', `${formatBytes(savedState)} for each sequence that is saved`],
    );
  }
  for (const [key, value] of Object.entries(report.metadata)) {
    rows.push(['metadata', printable(`${key}: ${value}`)]);
  }
  for (const [key, { elementType, length }] of Object.entries(report.lists)) {
    rows.push(['metadata', printable(`${key}: ${formatInteger(length)} of ${elementType}`)]);
  }
  const summary = formatTable(rows);
  return listTensors ? `${summary}\n${formatTensors(report)}` : summary;
}

function formatDTypes({ tensors, unsupported }: Report): string {
  const dtypes = new Map<string, number>();
  for (const { dtype } of [...tensors, ...unsupported]) {
    dtypes.set(dtype, (dtypes.get(dtype) ?? 0) + 1);
  }
  const each = Array.from(dtypes, ([dtype, count]) => `${count} ${dtype}`).join(', ');
  const total = tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  return `${each}; ${formatBytes(total)}`;
}

function formatTensors({ tensors, unsupported }: Report): string {
  const rows = tensors.map(({ name, dtype, shape, bytes }) => [
    printable(name),
    dtype,
    `[${shape.join(', ')}]`,
    formatInteger(bytes),
  ]);
  const others = unsupported.map(({ name, dtype, shape }) => [
    printable(name),
    dtype,
    `[${shape.join(', ')}]`,
    'cannot be read',
  ]);
  return formatTable([['name', 'dtype', 'shape', 'bytes'], ...rows, ...others], [3]);
}
