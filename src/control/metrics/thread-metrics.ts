/**
 * Who uses the processor: CPU time of each thread by its role, out of /proc, and the kernel's number of each.
 *
 * Runs on: the control thread, at each scrape: one small file of /proc for each thread. Where there is no /proc, or the
 * kernel keeps no schedstat, everything is in "others", the rest of the process: thread pools, LevelDB, garbage collection.
 */
import { readFileSync } from "node:fs";
import { Counter, Gauge, type Registry } from "prom-client";
import type { GlobalMemory } from "../../../drivers/shared-memory/global-memory.ts";
import { kernelThreadOf, ownKernelThread } from "../../../drivers/shared-memory/kernel-thread.ts";
import type { Config } from "../../config/config.ts";
import { tableThreadNames } from "./thread-names.ts";

const OTHERS = "others";

interface NamedThread {
  readonly name: string;
  /** 0: unknown, or not started yet. */
  readonly kernelThread: () => number;
}

export class ThreadMetrics {
  readonly #threads: readonly NamedThread[];
  readonly #info: Gauge;
  readonly #cpuSeconds: Counter;

  constructor(registry: Registry, global: GlobalMemory, config: Config) {
    const own = ownKernelThread();
    this.#threads = [
      { name: "main", kernelThread: () => (own === 0 ? 0 : process.pid) },
      { name: "control plane", kernelThread: () => own },
      ...tableThreadNames(config).map((name, thread) => ({ name, kernelThread: () => kernelThreadOf(global, thread) })),
    ];
    this.#info = new Gauge({
      name: "varray_thread_info",
      help: "1; the kernel's number of each thread.",
      labelNames: ["thread", "tid"],
      registers: [registry],
    });
    this.#cpuSeconds = new Counter({
      name: "varray_thread_cpu_seconds_total",
      help: "CPU time of each thread; others: thread pools, LevelDB, garbage collection.",
      labelNames: ["thread"],
      registers: [registry],
    });
  }

  /** Before a scrape is answered. */
  update(): void {
    this.#info.reset();
    this.#cpuSeconds.reset();
    const { user, system } = process.cpuUsage();
    let others = (user + system) / 1e6;
    for (const { name, kernelThread } of this.#threads) {
      const tid = kernelThread();
      if (tid === 0) continue;
      this.#info.set({ thread: name, tid: `${tid}` }, 1);
      const seconds = cpuSeconds(tid);
      if (seconds === undefined) continue;
      this.#cpuSeconds.inc({ thread: name }, seconds);
      others -= seconds;
    }
    this.#cpuSeconds.inc({ thread: OTHERS }, Math.max(0, others));
  }
}

function cpuSeconds(tid: number): number | undefined {
  try {
    return Number(readFileSync(`/proc/self/task/${tid}/schedstat`, "latin1").split(" ")[0]) / 1e9;
  } catch {
    return undefined;
  }
}
