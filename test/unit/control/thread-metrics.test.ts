import { existsSync } from "node:fs";
import { Registry } from "prom-client";
import { describe, expect, test } from "vitest";
import { ownKernelThread, publishKernelThread } from "../../../drivers/shared-memory/kernel-thread.ts";
import { threadNumber } from "../../../drivers/shared-memory/layout.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { ThreadMetrics } from "../../../src/control/metrics/thread-metrics.ts";
import { countersOnly } from "../../support/control-array.ts";

const config = loadConfig({});

async function scrapeOf(global: ReturnType<typeof countersOnly>, times = 1): Promise<Map<string, number>> {
  const registry = new Registry();
  const metrics = new ThreadMetrics(registry, global, config);
  for (let n = 0; n < times; n++) metrics.update();
  const lines = (await registry.metrics()).split("\n").filter((line) => line.startsWith("varray_"));
  return new Map(lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]));
}

describe.runIf(existsSync("/proc/thread-self"))("metrics of threads", () => {
  test("name the threads that have started, with the kernel's number and CPU time of each", async () => {
    const global = countersOnly(config);
    publishKernelThread(global, threadNumber(global.layout, "drive", 1));
    const scrape = await scrapeOf(global);
    expect(scrape.get(`varray_thread_info{thread="drives B",tid="${ownKernelThread()}"}`)).toBe(1);
    expect(scrape.get(`varray_thread_info{thread="main",tid="${process.pid}"}`)).toBe(1);
    expect(scrape.get('varray_thread_cpu_seconds_total{thread="drives B"}')).toBeGreaterThan(0);
    expect([...scrape.keys()].filter((series) => series.includes("director 1A"))).toEqual([]);
  });

  test("give what no named thread used to the others, however often they are asked", async () => {
    const scrape = await scrapeOf(countersOnly(config), 3);
    const seconds = (thread: string) => scrape.get(`varray_thread_cpu_seconds_total{thread="${thread}"}`)!;
    const { user, system } = process.cpuUsage();
    expect(seconds("others")).toBeGreaterThanOrEqual(0);
    expect(seconds("others")).toBeLessThanOrEqual((user + system) / 1e6);
  });
});
