/**
 * Brings a drive of a pool up to date: the zones that it lacks, then the map if its position has one.
 *
 *   its former drive, or the stripe's other drives ─▶ strips, checked ─▶ the drive, zone by zone (rebuild-zone.ts) ─▶ finished:
 *     it has the zone
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
import { type Drive, DriveError, type StripWrite } from "../../drivers/drive/drive.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { isAway, isFenced, type Member } from "../raid/raid-group.ts";
import type { BackgroundPace } from "./background-pace.ts";
import type { Compactor } from "./compactor.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import { NO_SPACE_RETRY_MILLISECONDS } from "./pool-members.ts";
import type { PoolParts } from "./pool-parts.ts";
import { RebuildZone } from "./rebuild-zone.ts";
import { breathe, pause } from "./runtime.ts";

const POLL_MILLISECONDS = 5;

export interface RebuildOptions {
  readonly pool: PoolParts;
  readonly compactor: Compactor;
  readonly member: Member;
  readonly pace: BackgroundPace;
  /** Whether the position has a copy of the map. */
  readonly hasMap: boolean;
  /** Puts it on record that the drive has all of the map. */
  readonly noteMap: () => Promise<void>;
  /** Puts it on record that a zone has strips that can't be had. */
  readonly noteDamage: (slot: number) => Promise<void>;
  /** Something more urgent is to be done: the rebuild ends between two zones, and is begun again after that. */
  readonly yields: () => boolean;
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
  readonly #zones: RebuildZone;
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
    this.#zones = new RebuildZone({
      pool,
      member,
      pace: options.pace,
      isWanted: () => this.isWanted,
      write: (strips) => this.#writeStrips(strips),
    });
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
   * @returns false when it was stopped, or yields, or the drive is no longer a member that is rebuilt
   * @throws DriveError of the drive that is rebuilt
   */
  async run(): Promise<boolean> {
    const { pool, hasMap } = this.#options;
    // First, because the map's redundancy takes the shortest to restore.
    if (hasMap && this.member.hasMap !== true) {
      await this.#whenThereIsRoom(() => pool.map.copyTo(this.#drive, () => breathe(pool.runtime)));
      await this.#options.noteMap();
    }
    for (;;) {
      const todo = this.#lacking();
      this.#zonesTotal = this.#zonesDone + todo.length;
      if (todo.length === 0) return this.isWanted;
      if (!this.isWanted || this.#options.yields()) return false;
      const slot = todo.find((slot) => this.#isReady(slot));
      if (slot === undefined) {
        await pause(this.#pool.runtime, POLL_MILLISECONDS);
        continue;
      }
      await this.#zone(slot);
      this.#zonesDone += 1;
    }
  }

  /** It was not stopped, its drive is still the member that is rebuilt, and what that is built from is there. */
  get isWanted(): boolean {
    const { group, health } = this.#pool;
    const { member } = this;
    const isThere = member.state === "rebuilding" && group.members[member.position] === member;
    return !this.#stopped && !health.failed && isThere && !isAway(member.former);
  }

  /** Invariant 4. Where nothing lives any more, only reads that began before have to end. */
  #isReady(slot: number): boolean {
    const { map, zoneUse } = this.#pool;
    return map.zones.live[slot]! > 0 && zoneUse.uncommitted[slot] === 0;
  }

  /** Slots of zones that the drive should have and has not; also of those that it may still be asked for. */
  #lacking(): number[] {
    const { map, zoneUse } = this.#pool;
    const { zones } = map;
    const slots: number[] = [];
    for (let slot = 0; slot < zones.slotCount; slot++) {
      if (zones.state[slot] !== ZONE_STATE.sealed) continue;
      if (zones.live[slot] === 0 && zoneUse.uncommitted[slot] === 0 && zoneUse.reading[slot] === 0) continue;
      if (this.member.hasZone?.(zones.zone[slot]!) !== true) slots.push(slot);
    }
    return slots;
  }

  async #zone(slot: number): Promise<void> {
    const { compactor } = this.#options;
    const { map, runtime, zoneUse } = this.#pool;
    const zone = map.zones.zone[slot]!;
    let isTaken: boolean | undefined = false;
    // From here on, not only once it is made: compaction may be about to remove the zone, and would leave it on this drive.
    zoneUse.reading[slot]! += 1;
    zoneUse.uncommitted[slot]! += 1;
    try {
      isTaken = await this.#create(zone);
      if (isTaken === undefined) return;
      if (isTaken) {
        runtime.reached("rebuild.zoneCreated");
        const { whole, lostStrips } = await this.#zones.fill(slot, zone);
        this.#lostStrips += lostStrips;
        // What the drive before has, which is away, is not left out.
        if (!whole || isAway(this.member.former)) return;
        // Once the drive has the zone, nothing else tells that something is missing in it.
        if (lostStrips > 0) await this.#options.noteDamage(slot);
        await this.#whenThereIsRoom(() => this.#drive.finishZone(zone));
      }
    } finally {
      zoneUse.reading[slot]! -= 1;
      zoneUse.uncommitted[slot]! -= 1;
    }
    if (!isTaken) {
      await compactor.evacuate(slot);
      if (!this.isWanted || map.zones.zone[slot] !== zone || map.zones.state[slot] !== ZONE_STATE.sealed) return;
      // It has to stay, as something in it can't be had: then this drive does without it. That is on record first, or the next
      // start would take what the drive lacks for the loss of one more.
      await this.#options.noteDamage(slot);
      this.#had.add(zone);
      return;
    }
    runtime.reached("rebuild.zoneFinished");
    this.#had.add(zone);
    this.#pool.counters[POOL_COUNT.rebuiltZones]! += 1;
  }

  /** False: the drive had the number before, or has begun the zone. Undefined: it has no room, and something more urgent is to be done. */
  async #create(zone: number): Promise<boolean | undefined> {
    try {
      await this.#whenThereIsRoom(() => this.#drive.createZone(zone), this.#options.yields);
      return true;
    } catch (error) {
      if (isFull(error) && this.isWanted) return undefined;
      if (isFenced(error) || !(error instanceof DriveError) || error.kind !== "invalid") throw error;
      return false;
    }
  }

  async #writeStrips(write: StripWrite): Promise<void> {
    const bytes = write.count * this.#pool.geometry.shape.stripBytes;
    await this.#whenThereIsRoom(() => this.#drive.writeStrips(write));
    this.#writtenBytes += bytes;
    this.#pool.counters[POOL_COUNT.rebuiltBytes]! += bytes;
  }

  /** A full disk is no fault of the drive's: it is waited for, as writes of hosts wait for it. */
  async #whenThereIsRoom(work: () => Promise<void>, yields = (): boolean => false): Promise<void> {
    for (;;) {
      try {
        await work();
        return;
      } catch (error) {
        if (!isFull(error) || !this.isWanted || yields()) throw error;
        await pause(this.#pool.runtime, NO_SPACE_RETRY_MILLISECONDS);
      }
    }
  }
}

function isFull(error: unknown): boolean {
  return error instanceof DriveError && error.kind === "noSpace";
}
