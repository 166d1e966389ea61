import { Command, Option, type CommandUnknownOpts } from '@commander-js/extra-typings';
import {
  deviceNames,
  idealKernels,
  openDevice,
  openWeights,
  planStep,
  readConfig,
  releasedShapes,
  rwkv7Entries,
  stories,
  type KernelTable,
  type NamedTensors,
  type StepPlan,
} from 'rwkv-js';
import { formatBytes, formatInteger, formatSizes, formatTable, printable } from '../format.ts';
import { print, type Io } from '../io.ts';
import { examples, jsonOption, wholeNumber } from '../options.ts';

const shapeNames = Object.keys(releasedShapes);

/** `rwkv plan`: what a step of a model takes on a device, without model or device. */
export function planCommand(io: Io): CommandUnknownOpts {
  return new Command('plan')
    .summary('show what one step of a model takes on a device')
    .description(
      'Shows the memory, the traffic and the kernels that one step of a model takes on a device, from ' +
        'sizes alone: a model of any size is planned on any machine.',
    )
    .argument(
      '[model]',
      `a model file, or the size of a released RWKV-7 model: ${shapeNames.join(', ')} ` +
        '(default: the embedded story writer)',
    )
    .addOption(
      new Option('--tokens <n>', 'tokens of the step, all sequences together')
        .argParser(wholeNumber(1, 65536))
        .default(1),
    )
    .addOption(
      new Option('--sequences <n>', 'sequences that the device holds')
        .argParser(wholeNumber(1, 4096))
        .default(1),
    )
    .addOption(
      new Option('--dtype <name>', 'of the matrices, where a size is given instead of a file')
        .choices(['f32', 'f16', 'bf16'] as const)
        .default('f16' as const),
    )
    .addOption(
      new Option('--device <name>', 'whose kernels; ideal has one for everything there is')
        .choices([...deviceNames, 'ideal'])
        .default('ideal'),
    )
    .addOption(jsonOption)
    .addHelpText(
      'after',
      examples(
        'rwkv plan 7.2b',
        'rwkv plan 1.5b --tokens 64 --sequences 32 --device cpu',
        'rwkv plan model.safetensors --json',
      ),
    )
    .action(async (model, { tokens, sequences, dtype, device, json }) => {
      const source = await tensorsOf(model, dtype, io.signal);
      const made = planStep(source, await kernelsOf(device), { tokens, sequences });
      const { kernels, ...totals } = made;
      const report = { model: source.label, device, tokens, sequences, ...totals };
      const text = json
        ? `${JSON.stringify({ ...report, kernels: Object.fromEntries(kernels) })}\n`
        : formatPlan(source, made, { device, tokens, sequences });
      await print(io.stdout, text);
    });
}

/** The tensors of a released size or of a file; the file is closed again, its header is enough. */
async function tensorsOf(
  model: string | undefined,
  dtype: 'f32' | 'f16' | 'bf16',
  signal: AbortSignal,
): Promise<NamedTensors> {
  const name = model?.toLowerCase() ?? '';
  if (Object.hasOwn(releasedShapes, name)) {
    const tensors = rwkv7Entries(releasedShapes[name]!, dtype);
    return { label: `RWKV-7 ${name} in ${dtype}`, tensors };
  }
  const source = await openWeights(model ?? stories.weights, { signal });
  await source.close();
  return source;
}

async function kernelsOf(device: string): Promise<KernelTable> {
  if (device === idealKernels.name) return idealKernels;
  await using open = await openDevice(device);
  return open.kernels;
}

function formatPlan(
  source: NamedTensors,
  made: StepPlan,
  step: { readonly device: string; readonly tokens: number; readonly sequences: number },
): string {
  const { memory, calls, callsOfALayer, bytesRead, bytesWritten, operations } = made;
  const ofALayer = callsOfALayer === undefined ? '' : `, ${callsOfALayer} in a layer`;
  const summary = formatTable([
    ['model', printable(source.label)],
    ['', formatSizes(readConfig(source))],
    ['step', `${step.tokens} tokens, ${step.sequences} sequences, kernels of ${step.device}`],
    ['parameters', formatBytes(memory.parameters)],
    ['states', formatBytes(memory.states)],
    ['activations', formatBytes(memory.activations)],
    ['a run reads', formatBytes(bytesRead)],
    ['and writes', formatBytes(bytesWritten)],
    ['and computes', `${formatInteger(operations)} operations`],
    ['kernels', `${calls}${ofALayer}`],
  ]);
  const rows = [...made.kernels]
    .sort(([, a], [, b]) => b.bytesRead - a.bytesRead)
    .map(([name, total]) => [
      name,
      formatInteger(total.calls),
      formatInteger(total.bytesRead),
      formatInteger(total.bytesWritten),
      formatInteger(total.operations),
    ]);
  const heading = ['kernel', 'calls', 'bytes read', 'bytes written', 'operations'];
  return `${summary}\n${formatTable([heading, ...rows], [1, 2, 3, 4])}`;
}
