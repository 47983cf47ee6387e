/**
 * Counters in global memory → Prometheus metrics, by the tables that subsystems declare.
 *
 * Runs on: the control thread, at each scrape. Reads what other threads write: each value is a whole double, but values
 * of one table may be some instructions apart. Histograms are made of one reading of their buckets, so `_count` always
 * equals the last bucket.
 */
import type { Registry } from "prom-client";
import {
  COUNTER_BLOCKS,
  type CounterOwner,
  type CounterSpec,
  type CounterTable,
  counterBlock,
  HISTOGRAM_BUCKETS,
} from "../../../drivers/shared-memory/counters.ts";
import type { GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { type Config, driveNames } from "../../config/config.ts";
import { loopThreadNames } from "./thread-names.ts";

type Labels = Readonly<Record<string, string>>;

interface Series {
  readonly block: Float64Array;
  readonly slot: number;
  readonly labels: Labels;
}

interface Value {
  readonly metricName?: string;
  readonly labels: Labels;
  readonly value: number;
}

/** What prom-client's Registry asks of a metric: it is given one that keeps nothing of its own. */
class MemoryMetric {
  readonly name: string;
  readonly help: string;
  readonly type: CounterSpec["type"];
  readonly aggregator = "sum";
  private readonly series: Series[] = [];
  private readonly keys = new Set<string>();

  constructor(spec: CounterSpec) {
    this.name = spec.metric;
    this.help = spec.help;
    this.type = spec.type;
  }

  /** @throws Error where a series of these labels is there: two tables count one thing */
  add(series: Series): void {
    const key = JSON.stringify(Object.entries(series.labels).sort());
    if (this.keys.has(key)) throw new Error(`metric ${this.name} has two series with the labels ${key}`);
    this.keys.add(key);
    this.series.push(series);
  }

  async get() {
    const values = this.series.flatMap((one) =>
      this.type === "histogram" ? histogramValues(this.name, one) : [{ labels: one.labels, value: one.block[one.slot]! }],
    );
    return { name: this.name, help: this.help, type: this.type, values, aggregator: this.aggregator };
  }

  /** Registry.resetMetrics: the counters belong to their writers. */
  reset(): void {}
}

/** Upper bounds in seconds, as text: bucket k ends at 2^k µs, the last has no end. */
const BOUNDS: readonly string[] = Array.from({ length: HISTOGRAM_BUCKETS }, (_, k) =>
  k === HISTOGRAM_BUCKETS - 1 ? "+Inf" : String(2 ** k / 1e6),
);

function histogramValues(name: string, { block, slot, labels }: Series): Value[] {
  const values: Value[] = [];
  let count = 0;
  for (let k = 0; k < HISTOGRAM_BUCKETS; k++) {
    count += block[slot + k]!;
    values.push({ metricName: `${name}_bucket`, labels: { ...labels, le: BOUNDS[k]! }, value: count });
  }
  values.push({ metricName: `${name}_sum`, labels, value: block[slot + HISTOGRAM_BUCKETS]! / 1e6 });
  values.push({ metricName: `${name}_count`, labels, value: count });
  return values;
}

/** @throws Error where two tables give one metric different types, or one series twice */
export function registerMemoryMetrics(
  registry: Registry,
  global: GlobalMemory,
  config: Config,
  tables: readonly CounterTable[],
): void {
  const metrics = new Map<string, MemoryMetric>();
  for (const table of tables) {
    const owners = ownersOf(config, COUNTER_BLOCKS[table.subsystem]);
    for (const [entry, spec] of Object.entries(table.specs)) {
      let metric = metrics.get(spec.metric);
      if (metric === undefined) {
        metric = new MemoryMetric(spec);
        metrics.set(spec.metric, metric);
      }
      if (metric.type !== spec.type)
        throw new Error(`metric ${spec.metric} is ${metric.type} in one table and ${spec.type} in another`);
      for (const [index, labels] of owners.entries()) {
        const block = counterBlock(global, table.subsystem, index);
        metric.add({ block, slot: table.slots[entry]!, labels: { ...labels, ...spec.labels } });
      }
    }
  }
  for (const metric of metrics.values()) registry.registerMetric(metric as never);
}

/** Labels of each block of a subsystem, in the order of the blocks. Drives are numbered through all pools. */
function ownersOf(config: Config, owner: CounterOwner): Labels[] {
  if (owner === "director") return config.directors.map(({ name }) => ({ director: name }));
  if (owner === "pool") return config.pools.map(({ name }) => ({ pool: name }));
  if (owner === "thread") return loopThreadNames(config).map((thread) => ({ thread }));
  return config.pools.flatMap((pool) => driveNames(pool).map((drive) => ({ pool: pool.name, drive })));
}
