/**
 * What a pool loses beyond its redundancy: strips that rot on their drives, and a drive too many that fails. Tells the model
 * which blocks may answer MEDIUM ERROR by that, and no others, and holds the array to giving up none that can be had.
 *
 *   strips rot, a drive fails ─▶ blocks that can't be had of what is left: may be errors, in the registers
 *   the map gives a block up ─▶ it can't be had of anything that the pool may still get
 *   at rest ─▶ what can't be read is what the map gave up, and what the pool tells of
 *
 * A strip that rotted stays so until its zone is gone from the drive, or the drive is what it was before.
 */

import { FRAME_STATE, MASK_FULL } from "../../src/cache/frame-pool.ts";
import { PAGE_NOT_LOADED } from "../../src/map/map-pages.ts";
import { ZONE_STATE } from "../../src/map/zone-table.ts";
import { decodePlace, isPlace, LOST_PLACE } from "../../src/raid/geometry.ts";
import { isTrusted } from "../../src/raid/raid-group.ts";
import type { RaidLevel } from "../../src/raid/raid-level.ts";
import type { Pool } from "../../src/volume/pool.ts";
import type { PoolMedia } from "./director.ts";
import type { Engine } from "./engine.ts";
import { type HostVolume, partsOf } from "./host.ts";
import type { Write } from "./registers.ts";
import { canBeHad } from "./remains.ts";
import type { SimDriveState } from "./sim-drive.ts";

const SECTORS_PER_BLOCK = 8;

interface Rotten {
  readonly drive: SimDriveState;
  readonly zone: number;
  readonly stripe: number;
  /** What is there now; undefined: nothing. */
  readonly strip: Uint8Array | undefined;
}

interface At {
  readonly volume: number;
  readonly block: number;
  readonly place: number;
}

export class Loss {
  readonly #engine: Engine;
  readonly #isFailed: (drive: SimDriveState) => boolean;
  readonly #isWell: (drive: SimDriveState) => boolean;
  /** Zones in which blocks are lost, or may be. */
  readonly zones = new Set<number>();
  /** Blocks that could not be had when the pool read them, each at one place. */
  readonly #toldOf = new Set<string>();
  #rotten: Rotten[] = [];

  constructor(options: {
    engine: Engine;
    isFailed: (drive: SimDriveState) => boolean;
    isWell: (drive: SimDriveState) => boolean;
  }) {
    this.#engine = options.engine;
    this.#isFailed = options.isFailed;
    this.#isWell = options.isWell;
  }

  /** Drives that have a rotten strip. */
  get rottenDrives(): ReadonlySet<SimDriveState> {
    this.#rotten = this.#rotten.filter(({ drive, zone, stripe, strip }) => {
      const there = drive.zones.get(zone);
      return there !== undefined && there.strips.get(stripe) === strip;
    });
    return new Set(this.#rotten.map(({ drive }) => drive));
  }

  isRotten(zone: number, stripe: number): boolean {
    return this.rottenDrives.size > 0 && this.#rotten.some((strip) => strip.zone === zone && strip.stripe === stripe);
  }

  /**
   * Whether more would be lost without these positions: of stripes that were lost in part drives lack strips, also those that
   * were rebuilt since, until their zones are gone.
   * @param drives - those of the pool's positions, as far as they are there
   */
  goesOn(drives: readonly (SimDriveState | undefined)[], without: ReadonlySet<number>, level: RaidLevel): boolean {
    for (const zone of this.zones) {
      const stripes = new Set(drives.flatMap((drive) => [...(drive?.zones.get(zone)?.strips.keys() ?? [])]));
      for (const stripe of stripes) {
        const lacking = new Set(without);
        for (const [position, drive] of drives.entries())
          if (drive?.zones.get(zone)?.strips.has(stripe) !== true) lacking.add(position);
        if (!level.survives([...lacking])) return true;
      }
    }
    return false;
  }

  /** A stripe in which something lives, of a zone that is sealed, and in which everything is on record. */
  aStripe({ parts }: Pool, volumes: readonly HostVolume[]): { readonly zone: number; readonly stripe: number } | undefined {
    const { random } = this.#engine;
    const { map, geometry, zoneUse } = parts;
    const host = volumes[random.between(0, volumes.length - 1)];
    if (host === undefined) return undefined;
    const { volume, addresses } = host;
    for (let attempt = 0; attempt < 20; attempt++) {
      const sector = addresses.sectorOf(random.between(0, addresses.sectors - 1));
      const place = map.lookup(volume, Math.floor(sector / SECTORS_PER_BLOCK));
      if (place === PAGE_NOT_LOADED || !isPlace(place)) continue;
      const { slot, stripe } = decodePlace(geometry, place);
      if (map.zones.state[slot] === ZONE_STATE.sealed && zoneUse.uncommitted[slot] === 0)
        return { zone: map.zones.zone[slot]!, stripe };
    }
    return undefined;
  }

  /** Spoils a strip. False: the drive has none there. */
  rot(drive: SimDriveState, zone: number, stripe: number): boolean {
    const { random } = this.#engine;
    const strips = drive.zones.get(zone)?.strips;
    const held = strips?.get(stripe);
    if (strips === undefined || held === undefined) return false;
    const strip = random.chance(0.4) ? undefined : held.slice();
    if (strip === undefined) strips.delete(stripe);
    else {
      strip[random.between(0, strip.length - 1)]! ^= 1 << random.between(0, 7);
      strips.set(stripe, strip);
    }
    this.#rotten.push({ drive, zone, stripe, strip });
    return true;
  }

  /** From now on what can't be had of the drives that are there and well may be an error. */
  mark({ pool, media, volumes }: { pool: Pool; media: PoolMedia; volumes: readonly HostVolume[] }): void {
    const { map, cache, frames, zeros } = pool.parts;
    for (const host of volumes) {
      const { volume, addresses } = host;
      for (let spot = 0; spot < addresses.sectors; spot += SECTORS_PER_BLOCK) {
        const block = addresses.sectorOf(spot) / SECTORS_PER_BLOCK;
        const place = map.lookup(volume, block);
        const mayBe =
          place === PAGE_NOT_LOADED || (isPlace(place) && !this.canBeHad(pool, media, { volume, block, place }, true));
        if (!mayBe) continue;
        // What is whole in memory, and has its place to come, is lost only with its record in the journal. (In a batch that is
        // under way it may have this place by now.)
        const frame = cache.find(volume, block);
        const isYoung =
          frame >= 0
            ? frames.state[frame] === FRAME_STATE.dirty && frames.mask[frame] === MASK_FULL && frames.destaging[frame] === 0
            : zeros.covers(volume, block);
        host.mayBeLost(spot, isYoung);
      }
    }
  }

  /** Looks at every change of the map that gives blocks up. */
  watch(pool: Pool, media: PoolMedia): void {
    const { map, cache, frames } = pool.parts;
    const commit = map.commit.bind(map);
    map.commit = (change) => {
      for (let n = 0; n < change.count; n++) {
        const [volume, block, place] = [change.volume[n]!, change.block[n]!, change.old[n]!];
        if (change.place[n] !== LOST_PLACE || place === LOST_PLACE) continue;
        // A part of it that was written goes with the rest, when that can't be read; else it must not be to be had any more.
        const frame = cache.find(volume, block);
        const isPart = frame >= 0 && frames.poisoned[frame] === 1;
        const what = `volume ${volume} block ${block} is given up`;
        if (!isPlace(place)) this.#engine.fail(`${what}, and had no place`);
        // The part was given up with the rest when that was read; a drive that is rebuilt may have it by now.
        else if (isPart && this.#toldOf.has(nameOf(pool, { volume, block, place }))) continue;
        else if (this.canBeHad(pool, media, { volume, block, place }, isPart)) this.#engine.fail(`${what}, and can be had`);
      }
      return commit(change);
    };
  }

  /**
   * A write that no fdatasync was waited for is acknowledged: in the turn in which it was taken. No block of which it wrote a part
   * may be on record as lost then: what was acknowledged could not be read.
   */
  acknowledged(pool: Pool, host: HostVolume, write: Pick<Write, "first" | "count" | "zero">): void {
    const { map, cache, frames } = pool.parts;
    for (const spot of write.zero ? [] : partsOf(write)) {
      const block = Math.floor(host.addresses.sectorOf(spot) / SECTORS_PER_BLOCK);
      const frame = cache.find(host.volume, block);
      const isPart = frame >= 0 && frames.mask[frame] !== MASK_FULL;
      if (isPart && map.lookup(host.volume, block) === LOST_PLACE)
        this.#engine.fail(`${host.name} block ${block} is lost, and a part of it was written`);
    }
  }

  /** The pool says that it could not read a block. */
  told(pool: Pool, media: PoolMedia, volume: number, block: number): void {
    const place = pool.parts.map.lookup(volume, block);
    if (place === PAGE_NOT_LOADED || !isPlace(place) || this.canBeHad(pool, media, { volume, block, place }, true)) return;
    this.#toldOf.add(nameOf(pool, { volume, block, place }));
  }

  /** @param now - of drives that are there and well; else also of those that may come back */
  canBeHad({ parts }: Pool, media: PoolMedia, { volume, block, place }: At, now: boolean): boolean {
    const { geometry, map, group } = parts;
    const { slot, stripe, column, index } = decodePlace(geometry, place);
    const zone = map.zones.zone[slot]!;
    const strip = (position: number): Uint8Array | undefined => {
      const member = group.members[position]!;
      const { state, former } = member;
      if (state === "failed") return undefined;
      const isOwn = isTrusted(state) || (state === "rebuilding" ? member.hasZone?.(zone) === true : !now);
      // Of one that is away nobody knows what it has.
      const hasIt = former !== undefined && (former.drive === undefined ? !now : former.hasZone(zone));
      const driveId = isOwn ? member.driveId : hasIt ? former.driveId : undefined;
      const bay = media.drives.findIndex(({ identity }) => identity.driveId === driveId);
      const drive = media.drives[bay];
      if (drive === undefined || (now ? !this.#isWell(drive) || media.absent.includes(bay) : this.#isFailed(drive)))
        return undefined;
      return drive.zones.get(zone)?.strips.get(stripe);
    };
    const { level, shape } = geometry;
    return canBeHad({ level, shape, zone, stripe, column, index, volume, block, strip });
  }
}

/** Zone numbers are given out once. */
function nameOf({ parts: { geometry, map } }: Pool, { volume, block, place }: At): string {
  return `${volume}/${block} at ${map.zones.zone[decodePlace(geometry, place).slot]}/${place}`;
}
