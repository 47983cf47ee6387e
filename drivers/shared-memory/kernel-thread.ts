/**
 * Which thread of the kernel each thread of ours is: by that number /proc tells what it uses, and people find it in top.
 *
 * The thread itself writes its number into its line when it starts; the control plane reads it for /metrics.
 */
import { readlinkSync } from "node:fs";
import type { GlobalMemory } from "./global-memory.ts";
import { THREAD_WORD, type ThreadNumber, threadWords } from "./layout.ts";

/** The number of the calling thread; 0 where there is no /proc/thread-self (not Linux). */
export function ownKernelThread(): number {
  try {
    // "PID/task/TID"
    return Number(readlinkSync("/proc/thread-self").split("/").at(-1)) || 0;
  } catch {
    return 0;
  }
}

/** The thread itself, when it starts. */
export function publishKernelThread(global: GlobalMemory, thread: ThreadNumber): void {
  Atomics.store(global.i32, threadWords(global.layout, thread) + THREAD_WORD.kernelThread, ownKernelThread());
}

/** 0: it has not started, or can't tell. */
export function kernelThreadOf(global: GlobalMemory, thread: ThreadNumber): number {
  return Atomics.load(global.i32, threadWords(global.layout, thread) + THREAD_WORD.kernelThread);
}
