/**
 * First touch: the kernel gives a page of memory only when it is written, at ten times the cost of writing it later.
 *
 * Runs on: the thread pool, step by step, while directors already use the memory. So nothing may change: each page gets
 * an atomic addition of zero, which is a write to the kernel and none to anybody else.
 */
import type { Address, GlobalMemory } from "./global-memory.ts";

const OS_PAGE_BYTES = 4096;

export interface TouchStep {
  readonly address: Address;
  readonly bytes: number;
}

/** Cuts a range into steps of `stepBytes`, one task of the thread pool each. */
export function touchSteps(range: TouchStep, stepBytes: number): TouchStep[] {
  if (!(stepBytes > 0)) throw new RangeError(`touch: steps of ${stepBytes} bytes`);
  const steps: TouchStep[] = [];
  const end = range.address + range.bytes;
  for (let address = range.address; address < end; address += stepBytes) {
    steps.push({ address, bytes: Math.min(stepBytes, end - address) });
  }
  return steps;
}

/** Touches every page that the range has a byte of; says how many. */
export function touchPages(global: GlobalMemory, range: TouchStep): number {
  const end = range.address + range.bytes;
  let pages = 0;
  for (let page = range.address - (range.address % OS_PAGE_BYTES); page < end; page += OS_PAGE_BYTES) {
    Atomics.add(global.i32, page / 4, 0);
    pages++;
  }
  return pages;
}
