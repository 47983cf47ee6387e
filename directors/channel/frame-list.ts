/**
 * Frame numbers in a message: in the slot while they fit, else in list frames whose numbers stand in the slot.
 *
 * Runs on: both ends. Owns: nothing; who sends the message owns the list frames and gives them back.
 */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { frameAddress } from "../../drivers/shared-memory/layout.ts";
import { LIST_FRAME_ENTRIES, listFramesFor } from "./messages.ts";

export interface FrameListPlace {
  readonly words: Int32Array;
  readonly at: number;
}

/** @param lists - `listFramesFor(count)` frames from `listsAt` on, filled here */
export function putFrameList(
  global: GlobalMemory,
  place: FrameListPlace,
  frames: Int32Array,
  count: number,
  lists: Int32Array,
  listsAt: number,
): void {
  const { words, at } = place;
  const listCount = listFramesFor(count);
  if (listCount === 0) {
    for (let n = 0; n < count; n += 1) words[at + n] = frames[n]!;
    return;
  }
  for (let list = 0; list < listCount; list += 1) {
    const listFrame = lists[listsAt + list]!;
    words[at + list] = listFrame;
    const target = frameAddress(global.layout, listFrame) / 4;
    const first = list * LIST_FRAME_ENTRIES;
    const entries = Math.min(count - first, LIST_FRAME_ENTRIES);
    for (let n = 0; n < entries; n += 1) global.i32[target + n] = frames[first + n]!;
  }
}

/** @param out - room for `count` */
export function takeFrameList(global: GlobalMemory, place: FrameListPlace, count: number, out: Int32Array): void {
  const { words, at } = place;
  const listCount = listFramesFor(count);
  if (listCount === 0) {
    for (let n = 0; n < count; n += 1) out[n] = words[at + n]!;
    return;
  }
  for (let list = 0; list < listCount; list += 1) {
    const source = frameAddress(global.layout, words[at + list]!) / 4;
    const first = list * LIST_FRAME_ENTRIES;
    const entries = Math.min(count - first, LIST_FRAME_ENTRIES);
    for (let n = 0; n < entries; n += 1) out[first + n] = global.i32[source + n]!;
  }
}
