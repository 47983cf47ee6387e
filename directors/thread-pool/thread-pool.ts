/**
 * A director's own pool of threads, for work in bulk that would hold up its I/O. That is first touch of its memory, and stripes by the batch.
 *
 * Runs on: the director's thread; the work on threads that Piscina starts when there is some and ends when there is none.
 * A task costs 12 to 22 µs of CPU to hand over (measured here): nothing of one host command goes here.
 * Invariants:
 *  1. At most TASKS_WAITING_MAX tasks wait; one more fails with ThreadPoolFull.
 *  2. After `close` no task runs.
 */
import { fileURLToPath } from "node:url";
import { Piscina } from "piscina";
import type { GlobalMemoryTransfer } from "../../drivers/shared-memory/global-memory.ts";
import type { TaskInput, TaskName, TaskResult } from "./tasks.ts";

export const TASKS_WAITING_MAX = 1024;
const IDLE_MILLISECONDS = 2000;
/** Tasks allocate next to nothing; this is what the code itself needs, with room. */
const HEAP_MEBIBYTES_MAX = 64;
const YOUNG_MEBIBYTES_MAX = 2;

export class ThreadPoolFull extends Error {
  constructor() {
    super(`thread pool: ${TASKS_WAITING_MAX} tasks wait already`);
    this.name = "ThreadPoolFull";
  }
}

export interface ThreadPoolOptions {
  readonly transfer: GlobalMemoryTransfer;
  readonly threadsMax: number;
  /** Called after each task that was done. */
  readonly onDone?: () => void;
}

export class ThreadPool {
  readonly #piscina: Piscina;
  readonly #onDone: () => void;

  constructor({ transfer, threadsMax, onDone = () => {} }: ThreadPoolOptions) {
    this.#onDone = onDone;
    this.#piscina = new Piscina({
      filename: fileURLToPath(new URL("./task.worker.js", import.meta.url)),
      minThreads: 0,
      maxThreads: threadsMax,
      idleTimeout: IDLE_MILLISECONDS,
      maxQueue: TASKS_WAITING_MAX,
      recordTiming: false,
      workerData: transfer,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MEBIBYTES_MAX, maxYoungGenerationSizeMb: YOUNG_MEBIBYTES_MAX },
      execArgv: [],
    });
  }

  /** @throws ThreadPoolFull, or what the task threw */
  async run<Name extends TaskName>(task: Name, input: TaskInput<Name>): Promise<TaskResult<Name>> {
    if (this.#piscina.queueSize >= TASKS_WAITING_MAX) throw new ThreadPoolFull();
    const result = (await this.#piscina.run({ task, input })) as TaskResult<Name>;
    this.#onDone();
    return result;
  }

  get waiting(): number {
    return this.#piscina.queueSize;
  }

  async close(): Promise<void> {
    await this.#piscina.destroy();
  }
}
