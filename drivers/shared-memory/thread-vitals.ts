/**
 * Counts, of the thread that starts it: garbage collection, allocation, heap, and the delay of its event loop.
 *
 * Costs a timer of 50 ms and an entry for each garbage collection, however many I/Os there are. Keeps no thread alive.
 */
import { constants, type PerformanceEntry, PerformanceObserver } from "node:perf_hooks";
import { getHeapSpaceStatistics, getHeapStatistics } from "node:v8";
import { counterBlock, observe } from "./counters.ts";
import type { GlobalMemory } from "./global-memory.ts";
import type { ThreadNumber } from "./layout.ts";
import { THREAD_COUNTERS } from "./thread-counters.ts";

const LOOP_MILLISECONDS = 50;
const HEAP_MILLISECONDS = 1000;
const C = THREAD_COUNTERS.slots;

/** perf_hooks' kind of a collection → its counters. */
const GC_SLOTS: ReadonlyMap<number, { readonly runs: number; readonly seconds: number }> = new Map([
  [constants.NODE_PERFORMANCE_GC_MINOR, { runs: C.gcMinorRuns, seconds: C.gcMinorSeconds }],
  [constants.NODE_PERFORMANCE_GC_MAJOR, { runs: C.gcMajorRuns, seconds: C.gcMajorSeconds }],
  [constants.NODE_PERFORMANCE_GC_INCREMENTAL, { runs: C.gcIncrementalRuns, seconds: C.gcIncrementalSeconds }],
  [constants.NODE_PERFORMANCE_GC_WEAKCB, { runs: C.gcWeakCallbacksRuns, seconds: C.gcWeakCallbacksSeconds }],
]);

/** What PerformanceObserver gives for "gc"; its types don't say so. */
type GcEntry = PerformanceEntry & { readonly detail: { readonly kind: number } };

/** Of a director or drive thread, once, when it starts. Returns what ends it. */
export function watchVitals(global: GlobalMemory, thread: ThreadNumber): () => void {
  const block = counterBlock(global, "thread", thread);
  let youngBytes = youngGenerationBytes();
  const collections = new PerformanceObserver((list) => {
    for (const { duration, detail } of list.getEntries() as GcEntry[]) {
      const { kind } = detail;
      const slots = GC_SLOTS.get(kind);
      if (slots === undefined) continue;
      block[slots.runs]! += 1;
      block[slots.seconds]! += duration / 1000;
      observe(block, C.gcPause, duration * 1000);
      if (kind === constants.NODE_PERFORMANCE_GC_MINOR) block[C.allocatedBytes]! += youngBytes;
    }
  });
  collections.observe({ entryTypes: ["gc"] });
  let last = performance.now();
  const loop = setInterval(() => {
    const now = performance.now();
    observe(block, C.loopDelay, Math.max(0, now - last - LOOP_MILLISECONDS) * 1000);
    last = now;
  }, LOOP_MILLISECONDS).unref();
  const heap = setInterval(() => {
    youngBytes = youngGenerationBytes();
    block[C.heapBytes] = getHeapStatistics().used_heap_size;
  }, HEAP_MILLISECONDS).unref();
  return () => {
    collections.disconnect();
    clearInterval(loop);
    clearInterval(heap);
  };
}

/** What fills between two minor collections. V8 changes it as it goes. */
function youngGenerationBytes(): number {
  const space = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
  return space === undefined ? 0 : space.space_used_size + space.space_available_size;
}
