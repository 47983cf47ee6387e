/**
 * Compares data in frames, in place, by the compare kernel.
 *
 * Runs on: the owning director's thread. Owns: nothing.
 */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import type { Command } from "../command.ts";
import type { FrameRun } from "../task.ts";
import { addressInRun } from "./data-out.ts";

/** Offset of the first byte that differs between two runs of equal phase, or −1. */
export function firstDifference(command: Command, a: FrameRun, b: FrameRun, bytes: number): number {
  const { kernels } = command.services.global;
  for (let at = 0; at < bytes; ) {
    const piece = Math.min(BLOCK_BYTES - ((a.phase + at) % BLOCK_BYTES), bytes - at);
    const found = kernels.firstDifference(addressInRun(command, a, at), addressInRun(command, b, at), piece);
    if (found >= 0) return at + found;
    at += piece;
  }
  return -1;
}

/** Offset of the first byte of `run` that differs from `pattern`, one logical block repeated; or −1. */
export function firstDifferenceFromPattern(command: Command, run: FrameRun, pattern: number, bytes: number): number {
  const { kernels } = command.services.global;
  const { logicalBlockBytes } = command.info;
  for (let at = 0; at < bytes; at += logicalBlockBytes) {
    const found = kernels.firstDifference(addressInRun(command, run, at), pattern, logicalBlockBytes);
    if (found >= 0) return at + found;
  }
  return -1;
}
