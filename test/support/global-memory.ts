/** A small global memory for tests: two directors, two pools, both reached by both, 1 MiB of frames. */
import { createGlobalMemory, type GlobalMemory, type GlobalMemoryTransfer } from "../../drivers/shared-memory/global-memory.ts";
import type { LayoutShape } from "../../drivers/shared-memory/layout.ts";

export const TEST_SHAPE: LayoutShape = {
  directorCount: 2,
  poolCount: 2,
  driveCount: 8,
  poolReachedBy: [
    [0, 1],
    [0, 1],
  ],
  frameCount: 256,
  stagingBytesPerPool: 65_536,
  mailboxBytes: 4096,
};

export function testGlobalMemory(shape: Partial<LayoutShape> = {}): { global: GlobalMemory; transfer: GlobalMemoryTransfer } {
  return createGlobalMemory({ ...TEST_SHAPE, ...shape });
}
