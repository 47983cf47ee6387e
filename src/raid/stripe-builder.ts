/**
 * Puts whole stripes together in staging: data copied by the DMA kernel, tags, parity by the XOR kernel, headers.
 *
 * In a batch's staging region the strips of one drive lie one after the other, so that a drive takes its share of all
 * stripes in one write: strip (position, n) is at base + (position ÷ copies × stripesMax + n) × stripBytes. Copies of a
 * column are staged once: all their drives write from there.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { type GroupGeometry, placeOf, stripPlace } from "./geometry.ts";
import { ROLE_P, ROLE_Q } from "./raid-level.ts";
import { PADDING_VOLUME, writeStripHeader, writeTag } from "./strip.ts";
import type { StripeBatch } from "./stripe-batch.ts";

export interface StripeRun {
  readonly slot: number;
  readonly zone: number;
  readonly firstStripe: number;
  readonly stripeCount: number;
}

export function stripAddress(geometry: GroupGeometry, base: Address, stripesMax: number, position: number, n: number): Address {
  const lane = Math.floor(position / geometry.level.copies);
  return base + (lane * stripesMax + n) * geometry.shape.stripBytes;
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
  const { global, geometry, run } = job;
  const { shape, dataDrives, level } = geometry;
  const { kernels } = global;
  const stripe = run.firstStripe + n;
  const stripOf = (role: number): Address =>
    stripAddress(geometry, job.base, job.stripesMax, level.positionOf(stripe, role, 0), n);
  const p = level.parities > 0 ? stripOf(ROLE_P) : 0;
  const q = level.parities > 1 ? stripOf(ROLE_Q) : 0;
  // Down from the last: Q is summed up so (Kernels.addToPq).
  for (let column = dataDrives - 1; column >= 0; column--) {
    const strip = stripOf(column);
    fillStrip(job, { n, column, strip });
    // Parity while the strip is in the processor's cache.
    if (level.parities === 0) continue;
    if (column === dataDrives - 1) {
      kernels.copy(p, strip, shape.parityBytes);
      if (level.parities > 1) kernels.copy(q, strip, shape.parityBytes);
    } else if (level.parities > 1) kernels.addToPq(p, q, strip, shape.parityBytes);
    else kernels.xor(p, strip, shape.parityBytes);
  }
  for (const role of level.roles) writeStripHeader(global, stripOf(role), shape, stripPlace(geometry, run.zone, stripe, role));
}

/** The blocks of a data strip with their tags. */
function fillStrip(job: StripeJob, at: { readonly n: number; readonly column: number; readonly strip: Address }): void {
  const { global, geometry, batch, run } = job;
  const { shape } = geometry;
  const { kernels } = global;
  const tag = { volume: 0, block: 0, zone: run.zone };
  const place = { slot: run.slot, stripe: run.firstStripe + at.n, column: at.column, index: 0 };
  let item = job.firstItem + at.n * geometry.blocksPerStripe + at.column * shape.blocksPerStrip;
  for (let index = 0; index < shape.blocksPerStrip; index++, item++) {
    const target = at.strip + index * FRAME_BYTES;
    if (item < batch.count) {
      place.index = index;
      batch.place[item] = placeOf(geometry, place);
      tag.volume = batch.volume[item]!;
      tag.block = batch.block[item]!;
      kernels.copy(target, batch.source[item]!, FRAME_BYTES);
      writeTag(global, at.strip, shape, index, batch.crc[item]!, tag);
    } else {
      tag.volume = PADDING_VOLUME;
      tag.block = 0;
      kernels.fill(target, 0, FRAME_BYTES);
      writeTag(global, at.strip, shape, index, 0, tag);
    }
  }
}
