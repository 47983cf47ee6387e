import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { beat, heartbeatAgeMilliseconds } from "../../../drivers/shared-memory/heartbeat.ts";
import { kernelThreadOf, ownKernelThread, publishKernelThread } from "../../../drivers/shared-memory/kernel-thread.ts";
import { testGlobalMemory } from "../../support/global-memory.ts";

describe("the kernel's number of a thread", () => {
  test.runIf(existsSync("/proc/thread-self"))("is the calling thread's: a folder of its process has that name", () => {
    expect(existsSync(`/proc/${process.pid}/task/${ownKernelThread()}`)).toBe(true);
  });

  test("stands in the thread's own line, beside its heartbeat, and is 0 until it starts", () => {
    const { global } = testGlobalMemory();
    beat(global, 2);
    const age = heartbeatAgeMilliseconds(global, 2);
    expect(kernelThreadOf(global, 2)).toBe(0);
    publishKernelThread(global, 2);
    expect(kernelThreadOf(global, 2)).toBe(ownKernelThread());
    expect(kernelThreadOf(global, 1)).toBe(0);
    expect(kernelThreadOf(global, 3)).toBe(0);
    expect(heartbeatAgeMilliseconds(global, 2)).toBeGreaterThanOrEqual(age);
  });
});
