import { describe, expect, test } from "vitest";
import { stopThread, WatchedThread } from "../../../directors/watched-thread.ts";

const ENTRY = new URL("../../support/failing-worker.mjs", import.meta.url);
const LIMITS = { heapMebibytesMax: 32, youngMebibytesMax: 2 };

function start(way: string) {
  const fatal: string[] = [];
  let told = (): void => {};
  const ended = new Promise<void>((resolve) => {
    told = resolve;
  });
  const thread = new WatchedThread<string, string>({
    name: "director 1A",
    entry: ENTRY,
    data: way,
    limits: LIMITS,
    onFatal: (name, reason) => {
      fatal.push(`${name}: ${reason}`);
      told();
    },
  });
  return { thread, fatal, ended };
}

describe("watched thread", () => {
  test.each([
    ["exception", "on purpose: exception"],
    ["rejection", "on purpose: rejection"],
    ["exit", "ended with status 7"],
    ["end", "ended with status 0"],
  ])("tells once who ended on its own and why: %s", async (way, reason) => {
    const { thread, fatal, ended } = start(way);
    await ended;
    expect(fatal).toHaveLength(1);
    expect(fatal[0]).toContain(`director 1A: `);
    expect(fatal[0]).toContain(reason);
    if (way === "exception" || way === "rejection") expect(fatal[0]).toContain("failing-worker.mjs");
    expect(thread.running).toBe(false);
  });

  test("is no fault when the thread was told to stop", async () => {
    const { thread, fatal } = start("");
    const echo = thread.next((message): message is string => message.startsWith("echo"));
    thread.post("hello");
    expect(await echo).toBe("echo hello");
    await stopThread(thread, "stop", (message) => message === "stopped");
    await thread.terminate();
    expect(fatal).toEqual([]);
  });

  test("is no fault when main terminates it", async () => {
    const { thread, fatal } = start("");
    await thread.terminate();
    expect(fatal).toEqual([]);
    expect(thread.running).toBe(false);
  });
});
