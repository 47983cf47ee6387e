/**
 * Heartbeats: each thread says now and then, in its line, that it still runs; main looks at how long that is ago.
 *
 * Kept as milliseconds of the time base in an Int32, which wraps: ages are right up to 24 days, far past any bound on them.
 */
import type { GlobalMemory } from "./global-memory.ts";
import { THREAD_WORD, type ThreadNumber, threadWords } from "./layout.ts";

/** The thread itself, from its event loop or between two pieces of work. */
export function beat(global: GlobalMemory, thread: ThreadNumber): void {
  // 0 means none yet: that one millisecond in 49 days is told as the next.
  Atomics.store(global.i32, threadWords(global.layout, thread) + THREAD_WORD.heartbeat, milliseconds(global) || 1);
}

/** How long ago the thread last beat; infinity when it never did. */
export function heartbeatAgeMilliseconds(global: GlobalMemory, thread: ThreadNumber): number {
  const last = Atomics.load(global.i32, threadWords(global.layout, thread) + THREAD_WORD.heartbeat);
  return last === 0 ? Number.POSITIVE_INFINITY : Math.max(0, (milliseconds(global) - last) | 0);
}

/** Main, before it starts the thread again. */
export function clearHeartbeat(global: GlobalMemory, thread: ThreadNumber): void {
  Atomics.store(global.i32, threadWords(global.layout, thread) + THREAD_WORD.heartbeat, 0);
}

function milliseconds(global: GlobalMemory): number {
  return Math.floor(global.clock.nowMicroseconds() / 1000) | 0;
}
