/**
 * Brings a drive of a pool up to date: the zones that it lacks, then the map if its position has one.
 *
 *   its former drive, or the stripe's other drives ─▶ strips, checked ─▶ the drive, zone by zone ─▶ finished: it has the zone
 *   the map's pages ─▶ the drive ─▶ a checkpoint ─▶ it is trusted, on record
 *
 * Only zones in which something lives are walked, as far as they were written, and only stripes in which something lives are
 * written. Every zone that is made meanwhile is written to the drive like to the others. So a restart goes on where this
 * stopped: zones that the drive has finished are done (zone-check.ts). One that it began is moved by compaction to zones that
 * it gets, because a drive takes no zone number twice; so is a zone that it refuses.
 *
 * Runs on: the owning director's thread; a share of its time while hosts are active.
 * Invariants:
 *  1. A zone counts as had (`member.hasZone`) only once the drive has finished it.
 *  2. A strip that can't be had is left out, and its zone is on record as damaged before the drive counts as having it.
 *  3. The zone that is read can't be removed meanwhile (`reading`), and is not chosen for compaction (`uncommitted`).
 *  4. A zone is read only once nothing that was written to it waits for its map entry: by the map, it would not live.
 */
import { type Drive, DriveError } from "../../drivers/drive/drive.ts";
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { placeOf } from "../raid/geometry.ts";
import { isFenced, type Member } from "../raid/raid-group.ts";
import { PADDING_VOLUME, readTag } from "../raid/strip.ts";
import { type ScanRun, StripeScan } from "../raid/stripe-scan.ts";
import type { BackgroundPace } from "./background-pace.ts";
import type { Compactor } from "./compactor.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";
import { pause } from "./runtime.ts";

const NO_SPACE_RETRY_MILLISECONDS = 5000;
const COMMIT_POLL_MILLISECONDS = 5;

export interface RebuildOptions {
  readonly pool: PoolParts;
  readonly compactor: Compactor;
  readonly member: Member;
  readonly pace: BackgroundPace;
  /** Whether the position has a copy of the map. */
  readonly hasMap: boolean;
  /** Puts it on record that a zone has strips that can't be had. */
  readonly noteDamage: (slot: number) => Promise<void>;
}

export interface RebuildProgress {
  readonly zonesTotal: number;
  readonly zonesDone: number;
  readonly writtenBytes: number;
  /** Strips that could not be had from anywhere. */
  readonly lostStrips: number;
}

export class Rebuild {
  readonly member: Member;
  readonly #options: RebuildOptions;
  readonly #pool: PoolParts;
  readonly #scan: StripeScan;
  readonly #drive: Drive;
  /** Zones that the drive has now, beside those that it had at first. */
  readonly #had = new Set<number>();
  #stopped = false;
  #zonesTotal = 0;
  #zonesDone = 0;
  #writtenBytes = 0;
  #lostStrips = 0;

  constructor(options: RebuildOptions) {
    const { pool, member } = options;
    this.#options = options;
    this.#pool = pool;
    this.member = member;
    this.#drive = member.drive!;
    this.#scan = new StripeScan(pool);
    const before = member.hasZone?.bind(member);
    member.hasZone = (zone) => before?.(zone) === true || this.#had.has(zone);
  }

  get progress(): RebuildProgress {
    return {
      zonesTotal: this.#zonesTotal,
      zonesDone: this.#zonesDone,
      writtenBytes: this.#writtenBytes,
      lostStrips: this.#lostStrips,
    };
  }

  stop(): void {
    this.#stopped = true;
  }

  /**
   * @returns false when it was stopped, or the drive is no longer a member that is rebuilt
   * @throws DriveError of the drive that is rebuilt
   */
  async run(): Promise<boolean> {
    const { pool, hasMap, pace } = this.#options;
    // First, because the map's redundancy takes the shortest to restore.
    if (hasMap) await pool.map.copyTo(this.#drive, () => pace.rest(0));
    for (;;) {
      const todo = this.#lacking();
      this.#zonesTotal = this.#zonesDone + todo.length;
      if (todo.length === 0) return this.#isWanted();
      if (!this.#isWanted()) return false;
      const slot = todo.find((slot) => this.#pool.zoneUse.uncommitted[slot] === 0);
      if (slot === undefined) {
        await pause(this.#pool.runtime, COMMIT_POLL_MILLISECONDS);
        continue;
      }
      await this.#zone(slot);
      this.#zonesDone += 1;
    }
  }

  #isWanted(): boolean {
    const { group, health } = this.#pool;
    const { member } = this;
    return !this.#stopped && !health.failed && member.state === "rebuilding" && group.members[member.position] === member;
  }

  /** Slots of zones that the drive should have and has not. */
  #lacking(): number[] {
    const { map, zoneUse } = this.#pool;
    const { zones } = map;
    const slots: number[] = [];
    for (let slot = 0; slot < zones.slotCount; slot++) {
      if (zones.state[slot] !== ZONE_STATE.sealed) continue;
      if (zones.live[slot] === 0 && zoneUse.uncommitted[slot] === 0) continue;
      if (this.member.hasZone?.(zones.zone[slot]!) !== true) slots.push(slot);
    }
    return slots;
  }

  async #zone(slot: number): Promise<void> {
    const { compactor } = this.#options;
    const { map, runtime, zoneUse } = this.#pool;
    const zone = map.zones.zone[slot]!;
    let isTaken = false;
    // From here on, not only once it is made: compaction may be about to remove the zone, and would leave it on this drive.
    zoneUse.reading[slot]! += 1;
    zoneUse.uncommitted[slot]! += 1;
    try {
      isTaken = await this.#create(zone);
      if (isTaken) {
        runtime.reached("rebuild.zoneCreated");
        const before = this.#lostStrips;
        if (!(await this.#fill(slot, zone))) return;
        // Once the drive has the zone, nothing else tells that something is missing in it.
        if (this.#lostStrips > before) await this.#options.noteDamage(slot);
        await this.#drive.finishZone(zone);
      }
    } finally {
      zoneUse.reading[slot]! -= 1;
      zoneUse.uncommitted[slot]! -= 1;
    }
    if (!isTaken) {
      await compactor.evacuate(slot);
      // It has to stay where something in it can't be moved: then this drive does without it.
      if (map.zones.zone[slot] === zone && map.zones.state[slot] === ZONE_STATE.sealed) this.#had.add(zone);
      return;
    }
    runtime.reached("rebuild.zoneFinished");
    this.#had.add(zone);
    this.#pool.counters[POOL_COUNT.rebuiltZones]! += 1;
  }

  /** False: the drive had the number before, or has begun the zone. */
  async #create(zone: number): Promise<boolean> {
    try {
      await this.#whenThereIsRoom(() => this.#drive.createZone(zone));
      return true;
    } catch (error) {
      if (isFenced(error) || !(error instanceof DriveError) || error.kind !== "invalid") throw error;
      return false;
    }
  }

  /** False: stopped, or the zone is on its way out. */
  async #fill(slot: number, zone: number): Promise<boolean> {
    const { geometry, map, runtime, staging } = this.#pool;
    const { copies } = geometry.level;
    const stripes = map.zones.stripes[slot]!;
    // Of copies, one that is not this drive's own place: it has nothing yet, unless its former drive does.
    const copy = this.#copyToRead(zone) % copies;
    for (let firstStripe = 0; firstStripe < stripes; firstStripe += staging.batchStripes) {
      if (!this.#isWanted() || map.zones.state[slot] !== ZONE_STATE.sealed) return false;
      const began = runtime.nowMilliseconds();
      const base = await staging.batches.take();
      const count = Math.min(staging.batchStripes, stripes - firstStripe);
      try {
        const run: ScanRun = { zone, firstStripe, count, base, copy };
        await this.#scan.read(run);
        await this.#write(slot, run);
      } finally {
        staging.batches.giveLanded(base, this.#scan.late.splice(0));
      }
      await this.#options.pace.rest(runtime.nowMilliseconds() - began);
    }
    return true;
  }

  #copyToRead(zone: number): number {
    const { geometry, group } = this.#pool;
    const { copies } = geometry.level;
    const { position } = this.member;
    const first = position - (position % copies);
    for (let copy = 0; copy < copies; copy++) if (group.readable(first + copy, zone) !== undefined) return copy;
    return position % copies;
  }

  /** Writes this position's strips of the run, as many in one write as follow each other. */
  async #write(slot: number, run: ScanRun): Promise<void> {
    const { geometry } = this.#pool;
    const { position } = this.member;
    let from = 0;
    let count = 0;
    for (let n = 0; n < run.count; n++) {
      const role = geometry.level.role(run.firstStripe + n, position);
      // Restored first: without this position's strip it may not be known whether something lives.
      const isThere = (await this.#restored(run, n, role)) && this.#lives(slot, run, n);
      if (isThere && count === 0) from = n;
      if (isThere) count += 1;
      else if (count > 0) {
        await this.#writeStrips(run, from, count);
        count = 0;
      }
    }
    if (count > 0) await this.#writeStrips(run, from, count);
  }

  async #restored(run: ScanRun, n: number, role: number): Promise<boolean> {
    const isThere = await this.#scan.restore(run, n, role);
    if (!isThere || this.#scan.verdict(run, n, role) !== "good") this.#lostStrips += 1;
    return isThere;
  }

  async #writeStrips(run: ScanRun, from: number, count: number): Promise<void> {
    const { geometry } = this.#pool;
    const { stripBytes } = geometry.shape;
    const role = geometry.level.role(run.firstStripe + from, this.member.position);
    const address: Address = this.#scan.addressOf(run, from, role);
    const firstStrip = run.firstStripe + from;
    const write = { zone: run.zone, firstStrip, count, address, strideBytes: stripBytes };
    await this.#whenThereIsRoom(() => this.#drive.writeStrips(write));
    this.#writtenBytes += count * stripBytes;
    this.#pool.counters[POOL_COUNT.rebuiltBytes]! += count * stripBytes;
  }

  /** A full disk is no fault of the drive's: it is waited for, as writes of hosts wait for it. */
  async #whenThereIsRoom(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        const isFull = error instanceof DriveError && error.kind === "noSpace";
        if (!isFull || !this.#isWanted()) throw error;
        await pause(this.#pool.runtime, NO_SPACE_RETRY_MILLISECONDS);
      }
    }
  }

  /** Whether something lives in a stripe, as far as its tags and the part of the map in memory tell. */
  #lives(slot: number, run: ScanRun, n: number): boolean {
    return stripeLives(this.#pool, { slot, run, n, scan: this.#scan });
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
    const verdict = scan.verdict(run, n, column);
    if (verdict === "gone" || verdict === "unsound") return true;
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
