import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { formatCandidates, listDevices } from 'rwkv-js';
import { print, type Io } from '../io.ts';
import { examples, jsonOption } from '../options.ts';

/** `rwkv devices`: which devices this machine has, and which is the fastest. */
export function devicesCommand(io: Io): CommandUnknownOpts {
  return new Command('devices')
    .summary('show the devices of this machine, and the fastest')
    .description(
      'Opens every device, measures how fast it multiplies weights with one row, as writing text does, ' +
        'and marks with a star the one that --device auto would take. What does not open says why.',
    )
    .addOption(jsonOption)
    .addHelpText('after', examples('rwkv devices', 'rwkv devices --json'))
    .action(async ({ json }) => {
      const candidates = await listDevices();
      await print(
        io.stdout,
        `${json ? JSON.stringify(candidates) : formatCandidates(candidates)}\n`,
      );
    });
}
