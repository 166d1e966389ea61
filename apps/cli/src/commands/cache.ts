import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { openCache, UsageError } from 'rwkv-js';
import { formatBytes, formatTable, printable } from '../format.ts';
import { print, type Io } from '../io.ts';
import { examples, jsonOption } from '../options.ts';

/** `rwkv cache`: what was fetched and is kept. */
export function cacheCommand(io: Io): CommandUnknownOpts {
  return new Command('cache')
    .summary('list and delete model files that were fetched')
    .description(
      'Files that were fetched are kept in a folder: RWKV_CACHE, or rwkv-js in HF_HOME, ' +
        'XDG_CACHE_HOME or ~/.cache, the first that is set.',
    )
    .addCommand(listCommand(io))
    .addCommand(removeCommand(io))
    .addCommand(pathCommand(io))
    .addHelpText(
      'after',
      examples(
        'rwkv cache ls',
        'rwkv cache path hf:owner/repo/model.pth',
        'rwkv cache rm hf:owner/repo/model.pth',
      ),
    );
}

function listCommand(io: Io) {
  return new Command('ls')
    .summary('list what is kept')
    .description('Lists what is kept, and what was fetched in part.')
    .addOption(jsonOption)
    .addHelpText('after', examples('rwkv cache ls', 'rwkv cache ls --json'))
    .action(async ({ json }) => {
      const cache = await openCache();
      const entries = await cache.list();
      if (json) return print(io.stdout, `${JSON.stringify(entries)}\n`);
      if (entries.length === 0) return print(io.stdout, `nothing in ${printable(cache.place)}\n`);
      const rows = entries.map(({ address, size, storedBytes, whole }) => [
        printable(address),
        whole ? formatBytes(size) : `${formatBytes(size)}, not whole yet`,
        formatBytes(storedBytes),
      ]);
      const total = entries.reduce((sum, { storedBytes }) => sum + storedBytes, 0);
      const table = formatTable([['address', 'size', 'on the disk'], ...rows]);
      await print(io.stdout, `${table}${formatBytes(total)} in ${printable(cache.place)}\n`);
    });
}

function removeCommand(io: Io) {
  return new Command('rm')
    .summary('delete what is kept of addresses')
    .description('Deletes what is kept of addresses, with all that was made from it.')
    .argument('[addresses...]', 'as rwkv cache ls shows them')
    .option('--all', 'delete everything')
    .addHelpText('after', examples('rwkv cache rm hf:owner/repo/model.pth', 'rwkv cache rm --all'))
    .action(async (addresses, { all }, command) => {
      if ((addresses.length === 0) === (all !== true)) {
        command.error('error: give the addresses to delete, or --all', { exitCode: 2 });
      }
      const cache = await openCache();
      const entries = all ? await cache.list() : [];
      const wanted = all ? new Set(entries.map(({ address }) => address)) : addresses;
      for (const address of wanted) {
        const freed = await cache.delete(address);
        await print(io.stdout, `deleted ${printable(address)}: ${formatBytes(freed)}\n`);
      }
    });
}

function pathCommand(io: Io) {
  return new Command('path')
    .summary('print where the cache, or a file in it, is')
    .description('Prints the folder of the cache, or the path of the whole file of an address.')
    .argument('[address]', 'hf:owner/repo[@revision]/file, or an http(s) address')
    .addHelpText('after', examples('rwkv cache path', 'rwkv cache path hf:owner/repo/model.pth'))
    .action(async (address) => {
      const cache = await openCache();
      if (address === undefined) return print(io.stdout, `${cache.place}\n`);
      const found = await cache.find(address);
      if (found?.path !== undefined) return print(io.stdout, `${found.path}\n`);
      const state = found ? 'was fetched in part only' : 'is not in the cache';
      throw new UsageError(`${address} ${state}; rwkv pull fetches it`);
    });
}
