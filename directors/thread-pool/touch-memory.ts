/**
 * First touch of this director's part of global memory, in the background, a slice at a time.
 *
 * Runs on: the director's thread, which only hands out slices; a pool thread does them. First touch costs about 4 s for
 * each GiB: whoever comes before it pays it himself, so nothing waits for this.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { touchSteps } from "../../drivers/shared-memory/touch.ts";
import type { ThreadPool } from "./thread-pool.ts";

/** About 60 ms of a core: short enough that a task in a hurry is not far behind. */
const SLICE_BYTES = 16 * 2 ** 20;

export interface MemoryRange {
  readonly address: Address;
  readonly bytes: number;
}

/** The share of global memory from `staging` to the end that one director touches. */
export function shareOf(global: GlobalMemory, directorIndex: number): MemoryRange {
  const { layout } = global;
  const first = layout.staging[0] ?? layout.frames;
  const shareBytes = Math.ceil((layout.totalBytes - first) / layout.shape.directorCount);
  const address = first + directorIndex * shareBytes;
  return { address, bytes: Math.min(shareBytes, layout.totalBytes - address) };
}

/** Ends when all is touched, or the pool was closed. @param progress - bytes touched so far */
export async function touchMemory(pool: ThreadPool, range: MemoryRange, progress: (bytes: number) => void): Promise<void> {
  let touched = 0;
  for (const slice of touchSteps(range, SLICE_BYTES)) {
    touched += await pool.run("touchFrames", slice);
    progress(touched);
  }
}
