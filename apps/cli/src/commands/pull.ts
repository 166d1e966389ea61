import { Command, type CommandUnknownOpts } from '@commander-js/extra-typings';
import { download, isIndexAddress, modelAddresses } from 'rwkv-js';
import { formatBytes, printable } from '../format.ts';
import { print, type Io } from '../io.ts';
import { examples, jsonOption } from '../options.ts';
import { showProgress } from '../progress.ts';

/** `rwkv pull`: files into the cache. */
export function pullCommand(io: Io): CommandUnknownOpts {
  return new Command('pull')
    .summary('fetch a model file into the cache')
    .description(
      'Fetches files into the cache, unless what is there is still what the server has; with the index of a ' +
        'model in several files (.index.json) all that it names. After Ctrl-C ' +
        'the same command goes on where it stopped. HF_ENDPOINT names another hub, HF_TOKEN lets ' +
        'one read private files of it, HF_HUB_OFFLINE=1 asks no server.',
    )
    .argument('<addresses...>', 'hf:owner/repo[@revision]/file, or an http(s) address')
    .option('--sha256 <sum>', 'what the sum of the file must be; for one address')
    .addOption(jsonOption)
    .addHelpText(
      'after',
      examples(
        'rwkv pull hf:owner/repo/model.pth',
        'rwkv pull hf:owner/repo@v1.0/model.pth hf:owner/repo/vocab.txt',
      ),
    )
    .action(async (addresses, { sha256, json }, command) => {
      if (sha256 !== undefined && addresses.length > 1) {
        command.error('error: --sha256 is the sum of one file, and several addresses were given', {
          exitCode: 2,
        });
      }
      const { signal } = io;
      // An index is looked at anew first: it says what else there is to fetch.
      const all: string[] = [];
      for (const address of addresses) {
        if (isIndexAddress(address)) await download([address], { refresh: true, signal });
        all.push(...(await modelAddresses(address, { signal })));
      }
      using bar = showProgress(io.stderr, { doing: 'Fetching', unit: 'MB', scale: 1e6 });
      const files = await download(
        all.map((address) =>
          sha256 === undefined || address !== addresses[0] ? address : { address, sha256 },
        ),
        {
          refresh: true,
          signal,
          progress: ({ loadedBytes, totalBytes }) => bar.update(loadedBytes, totalBytes),
        },
      );
      bar[Symbol.dispose]();
      if (json) {
        const found = files.map(({ label, ...file }) => ({ address: label, ...file }));
        return print(io.stdout, `${JSON.stringify(found)}\n`);
      }
      for (const { label, size, path } of files) {
        const where = path === undefined ? '' : ` in ${path}`;
        await print(io.stdout, `${printable(label)}: ${formatBytes(size)}${where}\n`);
      }
    });
}
