import { afterAll, describe, expect, test } from "vitest";
import type * as ThreadPoolModule from "../../../../directors/thread-pool/thread-pool.ts";
import { touchMemory } from "../../../../directors/thread-pool/touch-memory.ts";
import { createGlobalMemory } from "../../../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../../../drivers/shared-memory/layout.ts";

// Threads start from the build only.
const built = new URL("../../../../dist/directors/thread-pool/thread-pool.js", import.meta.url).href;
const { ThreadPool, ThreadPoolFull, TASKS_WAITING_MAX } = (await import(built)) as typeof ThreadPoolModule;

const FRAMES_BYTES = 128 * 2 ** 20;

const { global, transfer } = createGlobalMemory({
  directorCount: 1,
  poolCount: 0,
  driveCount: 0,
  poolReachedBy: [],
  frameCount: FRAMES_BYTES / FRAME_BYTES,
  stagingBytesPerPool: 0,
  mailboxBytes: 0,
});
let done = 0;
const pool = new ThreadPool({ transfer, threadsMax: 2, onDone: () => (done += 1) });

describe("thread pool of a director", () => {
  afterAll(() => pool.close());

  test("touches the memory of the thread that asks, slice by slice, and tells of its progress", async () => {
    const seen: number[] = [];
    const residentBefore = process.memoryUsage.rss();
    await touchMemory(pool, { address: global.layout.frames, bytes: FRAMES_BYTES }, (bytes) => seen.push(bytes / 2 ** 20));
    expect(seen).toEqual([16, 32, 48, 64, 80, 96, 112, 128]);
    expect(done).toBe(8);
    // Pages that nobody had written are there now. (Half of them: other memory of the process may go meanwhile.)
    expect(process.memoryUsage.rss() - residentBefore).toBeGreaterThan(FRAMES_BYTES / 2);
  });

  test("hands on what a task throws", async () => {
    await expect(pool.run("touchFrames", { address: global.layout.totalBytes, bytes: 4096 })).rejects.toThrow(RangeError);
    expect(done).toBe(8);
  });

  test("refuses more tasks than may wait", async () => {
    const { frames } = global.layout;
    const outcomes = await Promise.allSettled(
      Array.from({ length: TASKS_WAITING_MAX + 50 }, () => pool.run("touchFrames", { address: frames, bytes: 4096 })),
    );
    const refused = outcomes.filter((outcome) => outcome.status === "rejected");
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) expect(reason).toBeInstanceOf(ThreadPoolFull);
  });
});
