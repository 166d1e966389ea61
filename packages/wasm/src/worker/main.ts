/** What a worker runs. The first takes commands; the others sleep until it begins a run, and do their share. */
import { control } from '../control.ts';
import type { BeginMessage, Command, Reply } from '../protocol.ts';
import { FirstWorker } from './first-worker.ts';
import { instantiate, type Kernels } from './module.ts';
import { openPort } from './port.ts';
import { runList } from './run-list.ts';

const port = openPort();
const reply = (message: Reply, transfer?: ArrayBuffer[]): void => port.post(message, transfer);

/** A worker's first message arrives before its module is there; what follows waits for it. */
let begun: Promise<FirstWorker | undefined> | undefined;
let first: FirstWorker | undefined;

port.listen((message) => {
  if (first) first.take(message as Command);
  else if (begun) void begun.then((worker) => worker?.take(message as Command));
  else begun = begin(message as BeginMessage);
});

async function begin({
  module,
  memory: given,
  place,
  count,
}: BeginMessage): Promise<FirstWorker | undefined> {
  try {
    const memory = given ?? new WebAssembly.Memory({ initial: 2, maximum: 65536 });
    const kernels = await instantiate(module, memory);
    kernels.join(place, count);
    if (place === 0) first = new FirstWorker(kernels, count, reply);
    reply({ kind: 'ready' });
    if (place > 0) follow(kernels);
  } catch (error) {
    reply({ kind: 'failed', message: `a worker could not begin: ${String(error)}` });
  }
  return first;
}

/** Loads of the counter before a worker goes to sleep: a token's way to the host and back is shorter. Asleep it takes nothing from anyone. */
const spins = 200_000;

/** Does a share of every run, for good: the device ends its workers from outside. */
function follow(kernels: Kernels): never {
  const { memory } = kernels;
  const cells = new Int32Array(memory.buffer, 0, 256);
  let words = new Int32Array(memory.buffer);
  for (let seen = 0; ;) {
    for (let i = 0; i < spins && Atomics.load(cells, control.runs) === seen; i++);
    Atomics.wait(cells, control.runs, seen);
    if (Atomics.load(cells, control.runs) === seen) continue;
    seen = (seen + 1) | 0;
    const list = cells[control.list]! >>> 2;
    if (list >= words.length) words = new Int32Array(memory.buffer);
    kernels.useScratch(cells[control.scratch]!, cells[control.stride]!);
    runList(kernels, words, list);
  }
}
