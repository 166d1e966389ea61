import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { readFileSync } from 'node:fs';
import { calibrateCommand } from './commands/calibrate.ts';
import { convertCommand } from './commands/convert.ts';
import { cacheCommand } from './commands/cache.ts';
import { devicesCommand } from './commands/devices.ts';
import { evalCommand } from './commands/eval.ts';
import { generateCommand } from './commands/generate.ts';
import { inspectCommand } from './commands/inspect.ts';
import { logitsCommand } from './commands/logits.ts';
import { planCommand } from './commands/plan.ts';
import { pullCommand } from './commands/pull.ts';
import { tokenizeCommand } from './commands/tokenize.ts';
import type { Io } from './io.ts';
import { examples } from './options.ts';

const commands = [
  generateCommand,
  inspectCommand,
  tokenizeCommand,
  evalCommand,
  logitsCommand,
  planCommand,
  pullCommand,
  cacheCommand,
  convertCommand,
  calibrateCommand,
  devicesCommand,
];

/** The whole command line. Its mistakes are thrown as CommanderErrors, after a line about them. */
export function makeProgram(io: Io): CommandUnknownOpts {
  const program = new Command('rwkv')
    .description('Runs RWKV language models.')
    .version(version(), '--version', 'print the version')
    .option('--debug', 'show where in the program an error arose')
    .helpOption('--help', 'show this help')
    .helpCommand('help [command]', 'show the help of a command')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({
      writeOut: (text) => void io.stdout.write(text),
      writeErr: (text) => void io.stderr.write(text),
      outputError: (text, write) => write(asOneLine(text)),
    })
    .exitOverride()
    .addHelpText(
      'after',
      examples('rwkv generate', 'rwkv generate --help', 'rwkv inspect model.pth'),
    );
  for (const make of commands) {
    const command = make(io).copyInheritedSettings(program);
    for (const part of command.commands) part.copyInheritedSettings(program);
    program.addCommand(command);
  }
  return program;
}

/** `error: unknown option '--x'\n(Did you mean --y?)` in the form of all errors. */
function asOneLine(text: string): string {
  const message = text.trim().replace(/^error: /, '');
  return `rwkv: ${message.replace(/\s*\n\s*/g, ' ')}\n`;
}

function version(): string {
  const manifest = readFileSync(new URL('../package.json', import.meta.url), 'utf8');
  return (JSON.parse(manifest) as { version: string }).version;
}
