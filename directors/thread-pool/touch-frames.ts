/** First touch of a part of global memory, ahead of its use (drivers/shared-memory/touch.ts). Changes nothing in it. */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { touchPages } from "../../drivers/shared-memory/touch.ts";

/** Returns the bytes touched. */
export function touchFrames(global: GlobalMemory, input: { readonly address: Address; readonly bytes: number }): number {
  touchPages(global, input);
  return input.bytes;
}
