import { describe, expect, test } from "vitest";
import { createGlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../../drivers/shared-memory/layout.ts";
import { PayloadGather } from "../../../src/journal/payload-gather.ts";

const CAPACITY = 4;

function gatherAndFrames() {
  const { global } = createGlobalMemory({
    ...{ directorCount: 1, poolCount: 1, driveCount: 0, poolReachedBy: [[0]] },
    ...{ frameCount: 256, stagingBytesPerPool: 0, mailboxBytes: 0 },
  });
  const frame = (n: number): number => {
    const address = global.layout.frames + n * FRAME_BYTES;
    global.u8.fill(n + 1, address, address + FRAME_BYTES);
    return address;
  };
  return { gather: new PayloadGather(global, global.layout.journalGather[0]!, CAPACITY * FRAME_BYTES), frame };
}

describe("the gathered payload of a journal record", () => {
  test("is the frames side by side, in the order in which they were added", () => {
    const { gather, frame } = gatherAndFrames();
    for (const n of [9, 2, 5]) expect(gather.add(frame(n))).toEqual(Buffer.alloc(FRAME_BYTES, n + 1));
    const payload = gather.take()!;
    expect(payload).toEqual(Buffer.concat([9, 2, 5].map((n) => Buffer.alloc(FRAME_BYTES, n + 1))));
    expect(gather.take()).toBeUndefined();
  });

  test("goes on behind what was taken, and begins anew after clear", () => {
    const { gather, frame } = gatherAndFrames();
    gather.add(frame(1));
    const first = gather.take()!;
    gather.add(frame(2));
    gather.add(frame(3));
    expect(gather.room).toBe(CAPACITY - 3);
    expect(gather.take()!).toEqual(Buffer.concat([2, 3].map((n) => Buffer.alloc(FRAME_BYTES, n + 1))));
    expect(first).toEqual(Buffer.alloc(FRAME_BYTES, 2)); // still there: the record is not written yet
    gather.clear();
    expect(gather.room).toBe(CAPACITY);
    expect(gather.take()).toBeUndefined();
  });
});
