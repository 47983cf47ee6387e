/**
 * Puts whole stripes together in staging: data copied by the DMA kernel, tags, parity by the XOR kernel, headers.
 *
 * In a batch's staging region the strips of one drive lie one after the other, so that a drive takes its share of all
 * stripes in one write: strip (position, n) is at base + (position × stripesMax + n) × stripBytes.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { type GroupGeometry, placeOf } from "./geometry.ts";
import { ROLE_P } from "./raid-level.ts";
import { PADDING_VOLUME, writeStripHeader, writeTag } from "./strip.ts";
import type { StripeBatch } from "./stripe-batch.ts";

export interface StripeRun {
  readonly slot: number;
  readonly zone: number;
  readonly firstStripe: number;
  readonly stripeCount: number;
}

export function stripAddress(geometry: GroupGeometry, base: Address, stripesMax: number, position: number, n: number): Address {
  return base + (position * stripesMax + n) * geometry.shape.stripBytes;
}

/** A run of stripes to be put together from the batch's items from `firstItem` on; items past the end are padding. */
export interface StripeJob {
  readonly global: GlobalMemory;
  readonly geometry: GroupGeometry;
  readonly batch: StripeBatch;
  readonly firstItem: number;
  readonly run: StripeRun;
  readonly base: Address;
  readonly stripesMax: number;
}

/** Puts stripe `n` of the run together: 50 µs or so, so that callers can let hosts in between two. */
export function buildStripe(job: StripeJob, n: number): void {
  const { global, geometry, batch, run, base, stripesMax } = job;
  const { shape, dataDrives, level } = geometry;
  const { kernels } = global;
  const stripe = run.firstStripe + n;
  const tag = { volume: 0, block: 0, zone: run.zone };
  const at = { slot: run.slot, stripe, column: 0, index: 0 };
  const parity = stripAddress(geometry, base, stripesMax, level.positionOf(stripe, ROLE_P, 0), n);
  let item = job.firstItem + n * geometry.blocksPerStripe;
  for (let column = 0; column < dataDrives; column++) {
    const strip = stripAddress(geometry, base, stripesMax, level.positionOf(stripe, column, 0), n);
    at.column = column;
    for (let index = 0; index < shape.blocksPerStrip; index++, item++) {
      const target = strip + index * FRAME_BYTES;
      if (item < batch.count) {
        at.index = index;
        batch.place[item] = placeOf(geometry, at);
        tag.volume = batch.volume[item]!;
        tag.block = batch.block[item]!;
        kernels.copy(target, batch.source[item]!, FRAME_BYTES);
        writeTag(global, strip, shape, index, batch.crc[item]!, tag);
      } else {
        tag.volume = PADDING_VOLUME;
        tag.block = 0;
        kernels.fill(target, 0, FRAME_BYTES);
        writeTag(global, strip, shape, index, 0, tag);
      }
    }
    // While the strip is in the processor's cache.
    if (column === 0) kernels.copy(parity, strip, shape.parityBytes);
    else kernels.xor(parity, strip, shape.parityBytes);
  }
  for (let position = 0; position < geometry.driveCount; position++) {
    writeStripHeader(global, stripAddress(geometry, base, stripesMax, position, n), shape, {
      zone: run.zone,
      stripe,
      position,
      role: level.role(stripe, position),
    });
  }
}
