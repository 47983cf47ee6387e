import { execFile } from "node:child_process";
import { promisify } from "node:util";
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

/** Makes garbage, and tells the most that its young generation had for it. */
const GARBAGE = `
  import { getHeapSpaceStatistics } from "node:v8";
  import { parentPort } from "node:worker_threads";
  let most = 0;
  let kept = [];
  for (let n = 0; n < 4_000_000; n += 1) {
    kept.push({ n });
    if (kept.length < 40_000) continue;
    kept = [];
    const { space_size } = getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space");
    most = Math.max(most, space_size);
  }
  parentPort.postMessage(most);
`;

/** What GARBAGE tells of a thread with this limit, in a process that was started as `npm start` does. */
async function youngBytes(youngMebibytesMax: number): Promise<number> {
  const entry = `data:text/javascript,${encodeURIComponent(GARBAGE)}`;
  const main = `
    const { WatchedThread } = await import(${JSON.stringify(new URL("../../../dist/directors/watched-thread.js", import.meta.url).href)});
    const limits = { heapMebibytesMax: 64, youngMebibytesMax: ${youngMebibytesMax} };
    const thread = new WatchedThread({ name: "garbage", entry: new URL(${JSON.stringify(entry)}), limits, onFatal() {} });
    thread.onMessage((bytes) => console.log(bytes));
  `;
  const { stdout } = await promisify(execFile)(process.execPath, ["--max-semi-space-size=1", "--input-type=module", "-e", main]);
  return Number(stdout);
}

describe("watched thread", () => {
  test("has the young generation of its limits, whatever main was started with", async () => {
    const [small, large] = await Promise.all([youngBytes(3), youngBytes(24)]);
    expect(small).toBeLessThanOrEqual(3 * 2 ** 20);
    expect(large).toBeGreaterThan(2 * small);
  });

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
