/**
 * The workers that run a list of kernels together. Each has its own instance of this module over the
 * same memory; a kernel is called by all of them and does its share.
 */

/** This worker's place among the others, from 0; how many there are. */
export let worker: i32 = 0;
export let workers: i32 = 1;
/** Working memory that all share, and this worker's own, as large as the launch asked for. */
export let shared: usize = 0;
export let own: usize = 0;

/** Cells of the barrier, each in a cache line of its own; memory below 1024 is kept free for them. */
const ARRIVED: usize = 64;
const EPOCH: usize = 128;
const SLEEPERS: usize = 192;

/** Loads of the epoch before a worker that waits goes to sleep: about as long as waking it takes. */
const SPINS: i32 = 50000;

export function join(place: i32, count: i32): void {
  worker = place;
  workers = count;
}

/** Where working memory lies: regions of `stride` bytes, the first for all, then one for each worker. */
export function useScratch(base: usize, stride: usize): void {
  shared = base;
  own = base + stride * (worker + 1);
}

/** Returns when every worker has called it. What was written before is seen by all afterwards. */
export function barrier(): void {
  if (workers == 1) return;
  const epoch = atomic.load<i32>(EPOCH);
  if (atomic.add<i32>(ARRIVED, 1) == workers - 1) {
    atomic.store<i32>(ARRIVED, 0);
    atomic.add<i32>(EPOCH, 1);
    // Waking costs a call into the system, also where nobody sleeps.
    if (atomic.load<i32>(SLEEPERS) > 0) atomic.notify(EPOCH, -1);
    return;
  }
  for (let i = 0; i < SPINS; i++) {
    if (atomic.load<i32>(EPOCH) != epoch) return;
  }
  atomic.add<i32>(SLEEPERS, 1);
  while (atomic.load<i32>(EPOCH) == epoch) atomic.wait<i32>(EPOCH, epoch, -1);
  atomic.sub<i32>(SLEEPERS, 1);
}

/** Where this worker's share of `count` things begins, in whole blocks of `block`. */
// @ts-ignore: decorator
@inline
export function shareStart(count: i32, block: i32): i32 {
  return boundary(count, block, worker);
}

/** Where it ends. */
// @ts-ignore: decorator
@inline
export function shareEnd(count: i32, block: i32): i32 {
  return boundary(count, block, worker + 1);
}

function boundary(count: i32, block: i32, place: i32): i32 {
  const blocks = (count + block - 1) / block;
  return min(count, <i32>((<i64>blocks * place) / workers) * block);
}
