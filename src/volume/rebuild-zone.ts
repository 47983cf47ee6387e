/**
 * Fills one zone of a drive that is rebuilt: strips read, made and written, a run of stripes at a time, several runs under way.
 *
 *   lane 1   read run 1 ─▶ make ─▶ write ┐                    read run 3 ─▶ make ─────▶ write
 *   lane 2        read run 2 ─▶ make ───▶└ write ┐                 read run 4 ─▶ make ──────▶ …
 *
 * What a run lacks is made on the thread pool (verify-stripes.ts where there is a drive or a copy to take it from, else
 * reconstruct.ts). What comes of that without doubt is written; every other strip is looked at by itself (StripeScan.restore).
 *
 * Runs on: the owning director's thread; making strips, on its thread pool.
 * Invariants:
 *  1. One write at a time, in the order of the stripes; none after one that failed.
 *  2. When `fill` ends nothing of it is under way.
 *  3. Strips are made in memory that no late read can still write to.
 */
import type { StripWrite } from "../../drivers/drive/drive.ts";
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { placeOf } from "../raid/geometry.ts";
import type { Member } from "../raid/raid-group.ts";
import { PADDING_VOLUME, readTag } from "../raid/strip.ts";
import { type ScanRun, StripeScan, scanStripesMax } from "../raid/stripe-scan.ts";
import { NO_STRIPS, type StripesJob } from "../raid/stripes-job.ts";
import { type BackgroundPace, LANES } from "./background-pace.ts";
import type { PoolParts } from "./pool-parts.ts";

export interface RebuildZoneOptions {
  readonly pool: PoolParts;
  readonly member: Member;
  readonly pace: BackgroundPace;
  /** False: the member is to be rebuilt no more. */
  readonly isWanted: () => boolean;
  /** To the drive. */
  readonly write: (strips: StripWrite) => Promise<void>;
}

export interface ZoneFill {
  /** False: stopped, or the zone is on its way out. */
  whole: boolean;
  /** Strips that could not be had from anywhere. */
  lostStrips: number;
}

interface Filling {
  readonly slot: number;
  readonly zone: number;
  readonly copy: number;
  readonly fill: ZoneFill;
  /** The first stripe that no lane has. */
  next: number;
  /** The writes of the runs before. */
  written: Promise<void>;
}

export class RebuildZone {
  readonly #options: RebuildZoneOptions;
  readonly #pool: PoolParts;
  readonly #stripesPerRun: number;

  constructor(options: RebuildZoneOptions) {
    const { geometry, staging } = options.pool;
    this.#options = options;
    this.#pool = options.pool;
    this.#stripesPerRun = scanStripesMax(geometry, staging);
  }

  /** @throws DriveError of the drive that is rebuilt */
  async fill(slot: number, zone: number): Promise<ZoneFill> {
    const fill: ZoneFill = { whole: true, lostStrips: 0 };
    const filling: Filling = { slot, zone, copy: this.#copyToRead(zone), fill, next: 0, written: Promise.resolve() };
    const lanes = await Promise.allSettled(Array.from({ length: LANES }, () => this.#lane(filling)));
    for (const lane of lanes) if (lane.status === "rejected") throw lane.reason;
    return fill;
  }

  async #lane(filling: Filling): Promise<void> {
    const { pace } = this.#options;
    const stripes = this.#pool.map.zones.stripes[filling.slot]!;
    const scan = new StripeScan(this.#pool);
    while (filling.next < stripes && this.#goesOn(filling)) {
      const began = await pace.turn();
      if (filling.next >= stripes || !this.#goesOn(filling)) return;
      const firstStripe = filling.next;
      const count = Math.min(this.#stripesPerRun, stripes - firstStripe);
      const before = filling.written;
      let ended = (): void => undefined;
      filling.next += count;
      filling.written = new Promise((resolve) => {
        ended = resolve;
      });
      try {
        await this.#run(filling, scan, { firstStripe, count, before });
      } catch (error) {
        filling.fill.whole = false;
        throw error;
      } finally {
        ended();
      }
      pace.took(began);
    }
  }

  #goesOn({ fill, slot, zone }: Filling): boolean {
    const { zones } = this.#pool.map;
    if (!this.#options.isWanted() || zones.zone[slot] !== zone || zones.state[slot] !== ZONE_STATE.sealed) fill.whole = false;
    return fill.whole;
  }

  async #run(
    filling: Filling,
    scan: StripeScan,
    { firstStripe, count, before }: { firstStripe: number; count: number; before: Promise<void> },
  ): Promise<void> {
    const { zone, copy } = filling;
    const run = await this.#read(scan, { zone, firstStripe, count, copy });
    try {
      await this.#make(scan, run);
      await before;
      if (this.#goesOn(filling)) await this.#write(filling, scan, run);
    } finally {
      this.#pool.staging.batches.giveLanded(run.base, scan.late.splice(0));
    }
  }

  /** To a region that nothing lands in any more: each read that is given up on costs a drive, so that there is an end to it. */
  async #read(scan: StripeScan, stripes: Omit<ScanRun, "base">): Promise<ScanRun> {
    const { batches } = this.#pool.staging;
    for (;;) {
      const run = { ...stripes, base: await batches.take() };
      let isRead = false;
      try {
        await scan.read(run);
        isRead = scan.late.length === 0;
      } finally {
        if (!isRead) batches.giveLanded(run.base, scan.late.splice(0));
      }
      if (isRead) return run;
    }
  }

  /** This position's strips of the run, as far as they come without doubt. */
  async #make(scan: StripeScan, run: ScanRun): Promise<void> {
    for (let from = 0; from < run.count; ) {
      const job = scan.job(run, from);
      const end = from + job.count;
      const own = scan.addressOf(run, from, this.#role(run, from));
      const doubtful = this.#isThere(scan, run, from) ? await this.#verified(job) : await this.#reconstructed(job, own);
      for (let n = from; n < end; n++) if (!doubtful.has(run.firstStripe + n)) scan.prove(run, n, this.#role(run, n));
      from = end;
    }
  }

  /** What a former drive, or another copy, has: which of it is not as it should be. */
  async #verified(job: StripesJob): Promise<Set<number>> {
    const { position } = this.#options.member;
    const strips = job.strips.map((address, at) => (at === position ? address : NO_STRIPS));
    return new Set((await this.#pool.bulk.verify({ ...job, strips })).map(({ stripe }) => stripe));
  }

  /** What is computed from the other drives, to `own`: which of it is not certain. */
  async #reconstructed(job: StripesJob, own: Address): Promise<Set<number>> {
    const { bulk, geometry } = this.#pool;
    // Of copies the others are asked one by one.
    if (geometry.level.parities === 0) return new Set(Array.from({ length: job.count }, (_, n) => job.firstStripe + n));
    const { position: target } = this.#options.member;
    const strips = job.strips.with(target, own);
    const { lost, doubtful } = await bulk.reconstruct({ ...job, strips, target });
    return new Set([...doubtful, ...lost.map(({ stripe }) => stripe)]);
  }

  /** Writes this position's strips of the run, as many in one write as follow each other. */
  async #write({ slot, fill }: Filling, scan: StripeScan, run: ScanRun): Promise<void> {
    let from = 0;
    let count = 0;
    for (let n = 0; n < run.count; n++) {
      // Restored first: without this position's strip it may not be known whether something lives.
      const isThere = (await this.#restored(fill, scan, run, n)) && stripeLives(this.#pool, { slot, run, n, scan });
      if (isThere && count === 0) from = n;
      if (isThere) count += 1;
      else if (count > 0) {
        await this.#writeStrips(scan, run, from, count);
        count = 0;
      }
    }
    if (count > 0) await this.#writeStrips(scan, run, from, count);
  }

  async #restored(fill: ZoneFill, scan: StripeScan, run: ScanRun, n: number): Promise<boolean> {
    const role = this.#role(run, n);
    const isThere = await scan.restore(run, n, role);
    if (!isThere || scan.verdict(run, n, role) !== "good") fill.lostStrips += 1;
    return isThere;
  }

  #writeStrips(scan: StripeScan, run: ScanRun, from: number, count: number): Promise<void> {
    const { stripBytes } = this.#pool.geometry.shape;
    const address = scan.addressOf(run, from, this.#role(run, from));
    return this.#options.write({
      zone: run.zone,
      firstStrip: run.firstStripe + from,
      count,
      address,
      strideBytes: stripBytes,
    });
  }

  #role(run: ScanRun, n: number): number {
    return this.#pool.geometry.level.role(run.firstStripe + n, this.#options.member.position);
  }

  #isThere(scan: StripeScan, run: ScanRun, n: number): boolean {
    return scan.isThere(run, n, this.#role(run, n));
  }

  /** Of copies, one that is not this drive's own place: it has nothing yet, unless its former drive does. */
  #copyToRead(zone: number): number {
    const { geometry, group } = this.#pool;
    const { copies } = geometry.level;
    const { position } = this.#options.member;
    const first = position - (position % copies);
    for (let copy = 0; copy < copies; copy++) if (group.readable(first + copy, zone) !== undefined) return copy;
    return position % copies;
  }
}

/** True unless every strip of data is there and the map, as far as it is in memory, names none of their blocks. */
function stripeLives(
  pool: PoolParts,
  at: { readonly slot: number; readonly run: ScanRun; readonly n: number; readonly scan: StripeScan },
): boolean {
  const { geometry, global, map } = pool;
  const { shape, dataDrives } = geometry;
  const { slot, run, n, scan } = at;
  const stripe = run.firstStripe + n;
  for (let column = 0; column < dataDrives; column++) {
    if (!scan.hasTags(run, n, column)) return true;
    const strip = scan.addressOf(run, n, column);
    for (let index = 0; index < shape.blocksPerStrip; index++) {
      const tag = readTag(global, strip, shape, index);
      if (tag.volume === PADDING_VOLUME || !map.pages.hasVolume(tag.volume)) continue;
      const mapped = map.lookup(tag.volume, tag.block);
      if (mapped === PAGE_NOT_LOADED || mapped === placeOf(geometry, { slot, stripe, column, index })) return true;
    }
  }
  return false;
}
