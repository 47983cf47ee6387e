/** Entry of a pool thread: attaches global memory, then does tasks of the table one at a time. Started by Piscina. */
import { workerData } from "node:worker_threads";
import { attachGlobalMemory, type GlobalMemory, type GlobalMemoryTransfer } from "../../drivers/shared-memory/global-memory.ts";
import { TASKS, type TaskRequest } from "./tasks.ts";

const global = attachGlobalMemory(workerData as GlobalMemoryTransfer);

export default function runTask({ task, input }: TaskRequest): unknown {
  // The table types each pair; which one it is is known only here, at run time.
  const run = TASKS[task] as (global: GlobalMemory, input: TaskRequest["input"]) => unknown;
  return run(global, input);
}
