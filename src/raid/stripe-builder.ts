/**
 * Puts whole stripes together in staging: data copied by the DMA kernel, tags, parity by the XOR kernel, headers.
 *
 * In a batch's staging region the strips of one drive lie one after the other, so that a drive takes its share of all
 * stripes in one write: strip (position, n) is at base + (position × stripesMax + n) × stripBytes.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { columnPosition, type GroupGeometry, parityPosition, placeOf } from "./geometry.ts";
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

/** Fills `run.stripeCount` stripes from the batch's items from `firstItem` on; items past the end are padding. */
export function buildStripes(options: {
  global: GlobalMemory;
  geometry: GroupGeometry;
  batch: StripeBatch;
  firstItem: number;
  run: StripeRun;
  base: Address;
  stripesMax: number;
}): void {
  const { global, geometry, batch, run, base, stripesMax } = options;
  const { shape, dataDrives } = geometry;
  const { kernels } = global;
  const tag = { volume: 0, block: 0, zone: run.zone };
  const at = { slot: run.slot, stripe: 0, column: 0, index: 0 };
  let item = options.firstItem;
  for (let n = 0; n < run.stripeCount; n++) {
    const stripe = run.firstStripe + n;
    at.stripe = stripe;
    for (let column = 0; column < dataDrives; column++) {
      const strip = stripAddress(geometry, base, stripesMax, columnPosition(geometry, stripe, column), n);
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
    }
    const parity = stripAddress(geometry, base, stripesMax, parityPosition(geometry, stripe), n);
    kernels.copy(parity, stripAddress(geometry, base, stripesMax, columnPosition(geometry, stripe, 0), n), shape.parityBytes);
    for (let column = 1; column < dataDrives; column++) {
      const strip = stripAddress(geometry, base, stripesMax, columnPosition(geometry, stripe, column), n);
      kernels.xor(parity, strip, shape.parityBytes);
    }
    for (let position = 0; position < geometry.driveCount; position++) {
      const isParity = position === parityPosition(geometry, stripe);
      writeStripHeader(global, stripAddress(geometry, base, stripesMax, position, n), shape, {
        zone: run.zone,
        stripe,
        position,
        isParity,
      });
    }
  }
}
