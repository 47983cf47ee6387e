/** Frame pools by themselves, over a global memory of their own: one for each director. */
import { FrameChunks } from "../../drivers/shared-memory/frame-chunks.ts";
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FramePool } from "../../src/cache/frame-pool.ts";
import { testGlobalMemory } from "./global-memory.ts";

export interface FramePoolShape {
  readonly frameCount: number;
  readonly directorCount?: number;
  readonly dirtyPercentMax?: number;
}

export function testFramePools(shape: FramePoolShape): { readonly global: GlobalMemory; readonly pools: readonly FramePool[] } {
  const { frameCount, directorCount = 1, dirtyPercentMax = 90 } = shape;
  const { global } = testGlobalMemory({ frameCount });
  const chunks = new FrameChunks(global);
  const pools = Array.from({ length: directorCount }, (_, directorIndex) => {
    return new FramePool({ global, chunks, directorIndex, directorCount, dirtyPercentMax });
  });
  return { global, pools };
}

export function testFramePool(
  frameCount: number,
  dirtyPercentMax?: number,
): { readonly global: GlobalMemory; readonly pool: FramePool } {
  const { global, pools } = testFramePools({ frameCount, ...(dirtyPercentMax === undefined ? {} : { dirtyPercentMax }) });
  return { global, pool: pools[0]! };
}
