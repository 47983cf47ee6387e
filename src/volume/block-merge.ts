/**
 * A block that a host wrote in part, put together with the rest of its content.
 *
 * Sectors are 512 bytes; bit n of a mask stands for sector n of the block.
 */

import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import type { Kernels } from "../../drivers/shared-memory/kernels.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";

const SECTOR_BYTES = 512;
const SECTORS = 8;

/** Mask of the sectors in bytes [from, to) of a block; both are multiples of 512. */
export function sectorMask(from: number, to: number): number {
  return ((1 << (to / SECTOR_BYTES)) - 1) & ~((1 << (from / SECTOR_BYTES)) - 1) & MASK_FULL;
}

/** Copies the sectors that `mask` lacks from `source` into `target`. */
export function fillMissing(kernels: Kernels, target: Address, mask: number, source: Address): void {
  eachRun(~mask & MASK_FULL, (at, bytes) => kernels.copy(target + at, source + at, bytes));
}

/** Sets the sectors that `mask` lacks to zeros. */
export function zeroMissing(kernels: Kernels, target: Address, mask: number): void {
  eachRun(~mask & MASK_FULL, (at, bytes) => kernels.fill(target + at, 0, bytes));
}

/** Copies the sectors that `mask` has from `source` into `target`. */
export function overlay(kernels: Kernels, target: Address, mask: number, source: Address): void {
  eachRun(mask, (at, bytes) => kernels.copy(target + at, source + at, bytes));
}

/** As `overlay`, between two views. */
export function copySectors(target: Uint8Array, mask: number, source: Uint8Array): void {
  eachRun(mask, (at, bytes) => target.set(source.subarray(at, at + bytes), at));
}

function eachRun(mask: number, work: (at: number, bytes: number) => void): void {
  for (let sector = 0; sector < SECTORS; ) {
    if ((mask & (1 << sector)) === 0) {
      sector++;
      continue;
    }
    let end = sector + 1;
    while (end < SECTORS && (mask & (1 << end)) !== 0) end++;
    work(sector * SECTOR_BYTES, (end - sector) * SECTOR_BYTES);
    sector = end;
  }
}
