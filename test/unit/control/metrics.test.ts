import { Registry } from "prom-client";
import { afterEach, describe, expect, test } from "vitest";
import { counterBlock, defineCounters, observe } from "../../../drivers/shared-memory/counters.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { registerMemoryMetrics } from "../../../src/control/metrics/memory-metrics.ts";
import { COUNTER_TABLES } from "../../../src/control/metrics/tables.ts";
import { type ControlArray, controlArray, countersOnly } from "../../support/control-array.ts";

const config = loadConfig({});
const open: ControlArray[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((one) => one.close()));
});

const FRONT_END = defineCounters("frontEnd", {
  reads: { type: "counter", metric: "varray_test_total", help: "Things.", labels: { kind: "read" } },
  writes: { type: "counter", metric: "varray_test_total", help: "Things.", labels: { kind: "write" } },
  latency: { type: "histogram", metric: "varray_test_latency_seconds", help: "Times." },
});
const DRIVE = defineCounters("drive", { depth: { type: "gauge", metric: "varray_test_depth", help: "Depth." } });

describe("metrics out of global memory", () => {
  test("carry their owner's labels and the table's, series of one name together", async () => {
    const global = countersOnly(config);
    const registry = new Registry();
    registerMemoryMetrics(registry, global, config, [FRONT_END, DRIVE]);
    counterBlock(global, "frontEnd", 1)[FRONT_END.slots.writes]! += 7;
    counterBlock(global, "drive", 5)[DRIVE.slots.depth] = 3;
    const text = await registry.metrics();
    expect(text).toContain("# TYPE varray_test_total counter\n");
    expect(text).toContain('varray_test_total{director="1B",kind="write"} 7');
    expect(text).toContain('varray_test_total{director="1A",kind="read"} 0');
    expect(text).toContain('varray_test_depth{pool="B",drive="04"} 3');
    expect(text.match(/# TYPE varray_test_total /g)).toHaveLength(1);
  });

  test("histograms are cumulative, in seconds, and their count is their last bucket", async () => {
    const global = countersOnly(config);
    const registry = new Registry();
    registerMemoryMetrics(registry, global, config, [FRONT_END]);
    const block = counterBlock(global, "frontEnd", 0);
    for (const microseconds of [0.5, 1, 3, 1000, 60_000_000]) observe(block, FRONT_END.slots.latency, microseconds);
    const text = await registry.metrics();
    const line = (rest: string) =>
      Number(
        text
          .split("\n")
          .find((one) => one.startsWith(`varray_test_latency_seconds${rest}`))
          ?.split(" ")[1],
      );
    expect(line('_bucket{director="1A",le="0.000001"}')).toBe(2);
    expect(line('_bucket{director="1A",le="0.000004"}')).toBe(3);
    expect(line('_bucket{director="1A",le="0.001024"}')).toBe(4);
    expect(line('_bucket{director="1A",le="8.388608"}')).toBe(4);
    expect(line('_bucket{director="1A",le="+Inf"}')).toBe(5);
    expect(line('_count{director="1A"}')).toBe(5);
    expect(line('_sum{director="1A"}')).toBeCloseTo(60.0010045, 6);
  });

  test("refuse one name with two types", () => {
    const clash = defineCounters("scsi", { odd: { type: "gauge", metric: "varray_test_total", help: "Odd." } });
    expect(() => registerMemoryMetrics(new Registry(), countersOnly(config), config, [FRONT_END, clash])).toThrow(
      "varray_test_total",
    );
  });
});

describe("/metrics", () => {
  test("shows status, events, requests, process and every counter table, each name once", async () => {
    const one = await controlArray();
    open.push(one);
    await one.app.inject("/api/v1/system");
    const text = (await one.app.inject("/metrics")).body;
    for (const line of [
      'varray_pool_usable_bytes{pool="A"} 42949672960',
      'varray_pool_write_pending_bytes{pool="B"} 10',
      'varray_pool_state{pool="A",state="optimal"} 1',
      'varray_pool_state{pool="A",state="failed"} 0',
      'varray_drive_state{pool="B",drive="07",state="online"} 1',
      'varray_volume_size_bytes{pool="A",volume="volume-0"} 17179869184',
      'varray_director_up{director="1B"} 1',
      'varray_portal_open{director="1A"} 1',
      "varray_ready 1",
      'varray_api_requests_total{method="GET",route="/api/v1/system",status="200"} 1',
    ]) {
      expect(text).toContain(line);
    }
    expect(text).toContain("process_resident_memory_bytes");
    const types = text.match(/^# TYPE \S+/gm)!;
    expect(new Set(types).size).toBe(types.length);
    for (const table of COUNTER_TABLES)
      for (const { metric } of Object.values(table.specs)) expect(text).toContain(`# TYPE ${metric} `);
  });

  test("keeps a dead director's last values and says that it is down", async () => {
    const one = await controlArray();
    open.push(one);
    await one.app.inject("/metrics");
    one.directors[1]!.die();
    await expect.poll(async () => (await one.app.inject("/metrics")).body).toContain('varray_director_up{director="1B"} 0');
    expect((await one.app.inject("/metrics")).body).toContain('varray_pool_usable_bytes{pool="B"} 42949672960');
  });

  test("names end in their unit, and counters in _total", async () => {
    const one = await controlArray();
    open.push(one);
    for (const { name, type } of one.metrics.list().filter((metric) => metric.name.startsWith("varray_"))) {
      expect(name).toMatch(/^varray_[a-z0-9_]+$/);
      if (type === "counter") expect(name, "a counter").toMatch(/_total$/);
      if (type === "histogram") expect(name, "a histogram").toMatch(/_(seconds|bytes|blocks|commands|records|frames)$/);
    }
  });
});
