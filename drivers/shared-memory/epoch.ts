/**
 * Epochs in global memory: who owns a pool, and which incarnation of a thread speaks.
 *
 * A pool's epoch is raised, by main, whenever its owner changes; drive threads refuse what comes under an older one.
 * Invariant: an epoch only rises. (It is also on the drives: at start main raises past what was found there.)
 */
import type { GlobalMemory } from "./global-memory.ts";
import { POOL_WORD, poolWords, THREAD_WORD, type ThreadNumber, threadWords } from "./layout.ts";

export const EPOCH_MAX = 2 ** 31 - 1;

/** 0: never owned. */
export function poolEpoch(global: GlobalMemory, pool: number): number {
  return Atomics.load(global.i32, poolWords(global.layout, pool) + POOL_WORD.epoch);
}

/** Raises by one at least, and to `atLeast`; returns the new epoch. */
export function raisePoolEpoch(global: GlobalMemory, pool: number, atLeast = 1): number {
  return raise(global.i32, poolWords(global.layout, pool) + POOL_WORD.epoch, atLeast);
}

/** A director that opens the pool, under an epoch that it has raised: before it serves anything. */
export function notePoolOwner(global: GlobalMemory, pool: number, epoch: number): void {
  Atomics.compareExchange(global.i32, poolWords(global.layout, pool) + POOL_WORD.firstEpoch, 0, epoch);
}

/** From this epoch on the pool's owners are of this process; 0: it had none yet. */
export function firstPoolEpoch(global: GlobalMemory, pool: number): number {
  return Atomics.load(global.i32, poolWords(global.layout, pool) + POOL_WORD.firstEpoch);
}

/** 0: never started. */
export function threadEpoch(global: GlobalMemory, thread: ThreadNumber): number {
  return Atomics.load(global.i32, threadWords(global.layout, thread) + THREAD_WORD.epoch);
}

/** Main, before it starts the thread (again). */
export function raiseThreadEpoch(global: GlobalMemory, thread: ThreadNumber, atLeast = 1): number {
  return raise(global.i32, threadWords(global.layout, thread) + THREAD_WORD.epoch, atLeast);
}

function raise(i32: Int32Array, word: number, atLeast: number): number {
  if (!(Number.isInteger(atLeast) && atLeast <= EPOCH_MAX)) throw new RangeError(`epoch: ${atLeast} is not one`);
  let current = Atomics.load(i32, word);
  for (;;) {
    // Ends: another raise in between only brings the epoch nearer to its end, and there are few raises.
    if (current >= EPOCH_MAX) throw new RangeError("epoch: there is none after the last");
    const raised = Math.max(current + 1, atLeast);
    const found = Atomics.compareExchange(i32, word, current, raised);
    if (found === current) return raised;
    current = found;
  }
}
