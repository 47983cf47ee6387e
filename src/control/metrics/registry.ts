/** One Registry with everything that /metrics shows, and the scrape that fills it. */
import { collectDefaultMetrics, Registry } from "prom-client";
import type { CounterTable } from "../../../drivers/shared-memory/counters.ts";
import type { GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import type { ControlPlane } from "../control-plane.ts";
import { registerMemoryMetrics } from "./memory-metrics.ts";
import { StatusMetrics } from "./status-metrics.ts";
import { ThreadMetrics } from "./thread-metrics.ts";

export interface Metrics {
  readonly contentType: string;
  /** The text of a scrape. */
  scrape(): Promise<string>;
  countRequest(method: string, route: string, status: number): void;
  /** Every metric that a scrape can show, with its type. */
  list(): { readonly name: string; readonly type: string }[];
}

export function createMetrics(plane: ControlPlane, global: GlobalMemory, tables: readonly CounterTable[]): Metrics {
  const registry = new Registry();
  registerMemoryMetrics(registry, global, plane.config, tables);
  const threads = new ThreadMetrics(registry, global, plane.config);
  const status = new StatusMetrics(registry, plane);
  // Process-wide: CPU, memory, file descriptors. The event loop's figures are the control thread's own.
  collectDefaultMetrics({ register: registry });
  return {
    contentType: registry.contentType,
    scrape: async () => {
      await status.update();
      threads.update();
      return registry.metrics();
    },
    countRequest: (method, route, code) => status.apiRequests.inc({ method, route, status: String(code) }),
    list: () => (registry.getMetricsAsArray() as readonly unknown[]).map(nameAndType),
  };
}

/** prom-client keeps the type of its own metrics to itself; a class name tells it. */
function nameAndType(metric: unknown): { readonly name: string; readonly type: string } {
  const { name, type } = metric as { readonly name: string; readonly type?: string };
  return { name, type: type ?? (metric as object).constructor.name.toLowerCase() };
}
