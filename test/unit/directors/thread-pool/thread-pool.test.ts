import { afterAll, describe, expect, test } from "vitest";
import type * as ThreadPoolModule from "../../../../directors/thread-pool/thread-pool.ts";
import { touchMemory } from "../../../../directors/thread-pool/touch-memory.ts";
import { dataCrc32c } from "../../../../drivers/shared-memory/data-crc32c.ts";
import { createGlobalMemory } from "../../../../drivers/shared-memory/global-memory.ts";

// Threads start from the build only.
const built = new URL("../../../../dist/directors/thread-pool/thread-pool.js", import.meta.url).href;
const { ThreadPool, ThreadPoolFull, TASKS_WAITING_MAX } = (await import(built)) as typeof ThreadPoolModule;

const { global, transfer } = createGlobalMemory({
  directorCount: 1,
  poolCount: 0,
  driveCount: 0,
  poolReachedBy: [],
  frameCount: 10 * 1024,
  stagingBytesPerPool: 0,
  mailboxBytes: 0,
});
let done = 0;
const pool = new ThreadPool({ transfer, threadsMax: 2, onDone: () => (done += 1) });

describe("thread pool of a director", () => {
  afterAll(() => pool.close());

  test("works on the global memory of the thread that asks", async () => {
    const { frames } = global.layout;
    global.u8.fill(7, frames, frames + 4096);
    const ranges = Float64Array.of(frames, 4096, dataCrc32c(global.view(frames, 4096)), frames, 4095, 1);
    expect(await pool.run("verifyChecksums", { ranges })).toEqual([1]);
    await pool.run("xorStrips", { target: frames + 8192, sources: [frames, frames + 4096], stripBytes: 4096 });
    expect(global.u8[frames + 8192]).toBe(7);
  });

  test("touches memory slice by slice and tells of its progress", async () => {
    const seen: number[] = [];
    await touchMemory(pool, { address: global.layout.frames, bytes: 40 * 2 ** 20 }, (bytes) => seen.push(bytes / 2 ** 20));
    expect(seen).toEqual([16, 32, 40]);
  });

  test("hands on what a task throws", async () => {
    await expect(pool.run("xorStrips", { target: 0, sources: [], stripBytes: 16 })).rejects.toThrow("no sources");
    expect(done).toBe(5);
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
