import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { raiseThreadEpoch } from "../../../../drivers/shared-memory/epoch.ts";
import { createGlobalMemory } from "../../../../drivers/shared-memory/global-memory.ts";

const COMMANDS = 3000;

describe("channel between two threads", () => {
  test.each([
    { depth: 1, ringSlots: 1024, frameCount: 512 },
    { depth: 32, ringSlots: 1024, frameCount: 512 },
    { depth: 32, ringSlots: 4, frameCount: 40 },
  ])("loses nothing, mixes nothing and leaks nothing in both directions: %j", async ({ depth, ringSlots, frameCount }) => {
    const { global, transfer } = createGlobalMemory({
      directorCount: 2,
      poolCount: 0,
      driveCount: 0,
      poolReachedBy: [],
      frameCount: 2 * frameCount,
      stagingBytesPerPool: 0,
      mailboxBytes: 0,
      channelRingSlots: ringSlots,
    });
    const workers = [0, 1].map((director) => {
      raiseThreadEpoch(global, director);
      return director;
    });
    const threads = workers.map(
      (director) =>
        new Worker(new URL("../../../support/channel-worker.mjs", import.meta.url), {
          workerData: { transfer, director, frameCount, commands: COMMANDS, depth },
        }),
    );
    const results = await Promise.all(threads.map(async (thread) => (await once(thread, "message"))[0]));
    for (const result of results) {
      expect(result).toMatchObject({ wrong: 0, completed: COMMANDS });
      expect(result.signals).toBeGreaterThan(0);
      if (depth === 1) expect(result.naps).toBe(0);
      else expect(result.naps).toBeGreaterThan(0);
    }
    const ends = threads.map((thread) => once(thread, "message"));
    for (const thread of threads) thread.postMessage("end");
    for (const [end] of await Promise.all(ends)) expect(end).toEqual({ free: frameCount, inFlight: 0 });
    await Promise.all(threads.map((thread) => thread.terminate()));
  });
});
