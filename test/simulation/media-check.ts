/**
 * Looks at a pool that is at rest: parity agrees with data in every stripe that lives, each block that the map names is on
 * its drive as the tags say, the books of zones, frames and staging agree with what there is.
 */
import { FRAME_STATE, MASK_FULL } from "../../src/cache/frame-pool.ts";
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../../src/map/map-pages.ts";
import { ZONE_STATE } from "../../src/map/zone-table.ts";
import { decodePlace, isPlace, LOST_PLACE, NOT_MAPPED } from "../../src/raid/geometry.ts";
import { isTrusted } from "../../src/raid/raid-group.ts";
import { ROLE_P, ROLE_Q } from "../../src/raid/raid-level.ts";
import type { Pool } from "../../src/volume/pool.ts";
import { POOL_COUNT } from "../../src/volume/pool-counters.ts";
import type { Director, PoolMedia } from "./director.ts";
import { mayComeBack } from "./drive-changes.ts";
import type { HostVolume } from "./host.ts";
import { holdsBlock } from "./remains.ts";
import type { SimDriveState } from "./sim-drive.ts";

/** @throws Error that says what is wrong */
export async function checkMedia(pool: Pool, media: PoolMedia, volumes: readonly HostVolume[]): Promise<void> {
  const { map, geometry } = pool.parts;
  const before = map.zones.live.slice();
  const live = new Uint32Array(geometry.zoneSlots);
  const stripes = new Set<string>();
  let lost = 0;
  for (const { volume, addresses, unreadable } of volumes) {
    let mapped = 0;
    for (let spot = 0; spot < addresses.sectors; spot += 8) {
      const block = addresses.sectorOf(spot) / 8;
      const place = await placeOf(pool, volume, block);
      const wrong = whatIsWrongWithLoss(pool, media, { volume, block, place }, unreadable.has(spot));
      if (wrong !== undefined) throw new Error(`volume ${volume} block ${block} ${wrong}`);
      if (place === LOST_PLACE) lost += 1;
      if (place === NOT_MAPPED) continue;
      mapped += 1;
      if (place === LOST_PLACE) continue;
      const { slot } = decodePlace(geometry, place);
      live[slot]! += 1;
      if (unreadable.has(spot)) continue;
      const problem = blockIsThere(pool, media, { volume, block, place }) ?? stripeAgrees(pool, media, place, stripes);
      if (problem !== undefined) throw new Error(problem);
    }
    if (map.mappedBlocks(volume) !== mapped)
      throw new Error(`volume ${volume} has ${mapped} mapped blocks, the map counts ${map.mappedBlocks(volume)}`);
  }
  const told = pool.status().lost?.blocks ?? 0;
  if (told !== lost) throw new Error(`${lost} blocks are lost, and the pool tells of ${told}`);
  // Compaction may have moved something meanwhile.
  if (!before.every((count, slot) => count === map.zones.live[slot])) return;
  for (let slot = 0; slot < geometry.zoneSlots; slot++) {
    if (live[slot] !== map.zones.live[slot])
      throw new Error(`zone slot ${slot} has ${live[slot]} mapped blocks, its live count is ${map.zones.live[slot]}`);
  }
  checkZones(pool, media);
}

/** What can't be read is on record as lost; or it can't be had as long as a drive is away. */
function whatIsWrongWithLoss(
  pool: Pool,
  media: PoolMedia,
  at: { volume: number; block: number; place: number },
  isUnreadable: boolean,
): string | undefined {
  if (at.place === LOST_PLACE) return isUnreadable ? undefined : "is on record as lost, and was read";
  if (!isUnreadable) return undefined;
  if (media.changes === undefined || !isPlace(at.place) || !mayComeBack(pool))
    return "can't be read, and is not on record as lost";
  return media.changes.loss.canBeHad(pool, media, at, true) ? "can't be read, and all that it takes is there" : undefined;
}

/** The drive that must have what is written to a position; undefined: none must. */
function driveAt(pool: Pool, media: PoolMedia, position: number): SimDriveState | undefined {
  if (media.changes === undefined) return media.trouble.concerns(position) ? undefined : media.drives[position];
  const { driveId, state } = pool.parts.group.members[position]!;
  const drive = media.drives.find(({ identity }) => identity.driveId === driveId);
  return isTrusted(state) && drive !== undefined && media.changes.isWell(drive) ? drive : undefined;
}

async function placeOf(pool: Pool, volume: number, block: number): Promise<number> {
  const { map } = pool.parts;
  for (;;) {
    const place = map.lookup(volume, block);
    if (place !== PAGE_NOT_LOADED) return place;
    await map.loadPage(volume, Math.floor(block / PAGE_BLOCKS));
  }
}

function blockIsThere(pool: Pool, media: PoolMedia, at: { volume: number; block: number; place: number }): string | undefined {
  const { geometry, map } = pool.parts;
  const { slot, stripe, column, index } = decodePlace(geometry, at.place);
  const zone = map.zones.zone[slot]!;
  const what = `volume ${at.volume} block ${at.block} (zone ${zone}, stripe ${stripe}, column ${column})`;
  const position = geometry.level.positionOf(stripe, column, 0);
  const drive = driveAt(pool, media, position);
  if (drive === undefined) return undefined;
  const strip = drive.zones.get(zone)?.strips.get(stripe);
  if (strip === undefined) return `${what}: its strip is not on its drive`;
  const right = holdsBlock(strip, { shape: geometry.shape, zone, index, volume: at.volume, block: at.block });
  return right ? undefined : `${what}: what lies there is not it`;
}

function stripeAgrees(pool: Pool, media: PoolMedia, place: number, looked: Set<string>): string | undefined {
  const { geometry, map } = pool.parts;
  const { slot, stripe } = decodePlace(geometry, place);
  const zone = map.zones.zone[slot]!;
  const key = `${zone}/${stripe}`;
  if (looked.has(key)) return undefined;
  looked.add(key);
  const { level, shape } = geometry;
  // What is damaged stays so until it is read; reads are checked elsewhere.
  if (media.trouble.kind !== "none") return undefined;
  const strips: Uint8Array[] = [];
  const drives = pool.parts.group.positions.map((position) => driveAt(pool, media, position));
  // Where places are empty, that all can be had is proven by who reads it.
  if (drives.includes(undefined)) return undefined;
  for (const [position, drive] of drives.entries()) {
    const strip = drive!.zones.get(zone)?.strips.get(stripe);
    if (strip === undefined) return `stripe ${key}: the strip of position ${position} is not there`;
    strips.push(strip.subarray(0, shape.parityBytes));
  }
  const holds = (role: number, expected: Uint8Array): boolean => {
    for (let copy = 0; copy < (role < 0 ? 1 : level.copies); copy++)
      if (Buffer.compare(strips[level.positionOf(stripe, role, copy)]!, expected) !== 0) return false;
    return true;
  };
  const p = new Uint8Array(shape.parityBytes);
  const q = new Uint8Array(shape.parityBytes);
  for (let column = level.dataColumns - 1; column >= 0; column--) {
    const data = strips[level.positionOf(stripe, column, 0)]!;
    if (!holds(column, data)) return `stripe ${key}: the copies of column ${column} differ`;
    for (let n = 0; n < data.length; n++) {
      p[n]! ^= data[n]!;
      // Horner's rule: Q is the sum of 2^column times each column.
      q[n] = (((q[n]! << 1) ^ (q[n]! & 0x80 ? 0x11d : 0)) & 0xff) ^ data[n]!;
    }
  }
  if (level.parities > 0 && !holds(ROLE_P, p)) return `stripe ${key}: P does not agree with the data`;
  if (level.parities > 1 && !holds(ROLE_Q, q)) return `stripe ${key}: Q does not agree with the data`;
  return undefined;
}

/** Every zone of the table is on every drive, and none else. */
function checkZones(pool: Pool, media: PoolMedia): void {
  const { zones } = pool.parts.map;
  const known = new Set<number>();
  const drives = pool.parts.group.positions
    .map((position) => driveAt(pool, media, position))
    .filter((drive) => drive !== undefined);
  for (let slot = 0; slot < zones.slotCount; slot++) {
    if (zones.state[slot] === ZONE_STATE.free) continue;
    known.add(zones.zone[slot]!);
    if (zones.state[slot] !== ZONE_STATE.sealed) continue;
    // A drive does without one that can't be moved, as long as a drive is away that may have what is lost.
    const isDamaged = pool.record.document.damagedZones?.includes(zones.zone[slot]!) === true;
    if (isDamaged && media.changes?.loss.zones.has(zones.zone[slot]!) === true) continue;
    for (const drive of drives) {
      const zone = drive.zones.get(zones.zone[slot]!);
      if (zone === undefined && zones.live[slot]! > 0)
        throw new Error(`zone ${zones.zone[slot]} is not on drive ${drive.identity.name}`);
      // One in which nothing lives any more may have stayed as a crash, or a drive that was away, left it.
      if (zone !== undefined && !zone.finished && (zones.live[slot]! > 0 || media.changes === undefined))
        throw new Error(
          `zone ${zones.zone[slot]} (${zones.live[slot]} live) is sealed, and not finished on drive ${drive.identity.name}`,
        );
    }
  }
  for (const [position, drive] of (media.changes === undefined ? media.drives : drives).entries()) {
    // What a drive that lies was told to remove may be there still.
    const lies = media.trouble.concerns(position) && media.trouble.kind === "faults";
    const isAway = media.absent.includes(position) || pool.parts.group.trusted(position) === undefined;
    if (media.changes === undefined && (lies || isAway)) continue;
    for (const zone of drive.zones.keys())
      if (!known.has(zone)) throw new Error(`drive ${drive.identity.name} has zone ${zone}, which the map does not know`);
  }
}

/** What drives that do what they must, or nothing at all, never lead to. */
export function checkHealing(pool: Pool, media: PoolMedia): string | undefined {
  const repaired = pool.parts.counters[POOL_COUNT.repairedBlocks]!;
  // What was lost and came back is repaired, too.
  if (repaired > 0 && media.changes?.hasErred === false && media.changes.loss.zones.size === 0)
    return `pool ${pool.parts.name}: ${repaired} blocks were repaired, and no drive returned errors`;
  // A drive does without a zone of which nothing is left but what is lost.
  for (const { identity, readsAstray } of media.drives)
    for (const zone of readsAstray)
      if (media.changes?.loss.zones.has(zone) !== true)
        return `drive ${identity.name} was asked for strips of zone ${zone}, which it does not have`;
  return undefined;
}

/** Frames and staging at rest. */
export function checkBooks(directors: readonly Director[]): string | undefined {
  for (const { frames, pools, life } of directors) {
    try {
      frames.checkCounts();
    } catch (error) {
      return (error as Error).message;
    }
    const busy = pools.some(({ compactor }) => compactor.isRunning);
    if (frames.count(FRAME_STATE.reserved) > 0)
      return `director ${life.name}: ${frames.count(FRAME_STATE.reserved)} frames stay reserved`;
    // The zero frame is one.
    if (frames.count(FRAME_STATE.retired) !== 1)
      return `director ${life.name}: ${frames.count(FRAME_STATE.retired)} frames stay retired`;
    for (let frame = 0; frame < frames.pins.length; frame++) {
      if (frames.pins[frame]! > 0 && frame !== frames.zeroFrame) return `director ${life.name}: frame ${frame} stays pinned`;
    }
    for (const { parts } of pools) {
      const { cache, group } = parts;
      // Parts of blocks whose rest a drive may bring back are kept.
      let dirty = cache.dirtyCount;
      for (let frame = group.mayComeBack ? cache.oldestDirty : -1; frame >= 0; frame = cache.nextDirty(frame))
        if (parts.frames.mask[frame] !== MASK_FULL) dirty -= 1;
      if (dirty > 0) return `pool ${parts.name}: ${dirty} blocks stay dirty`;
      if (parts.zoneUse.reading.some((count) => count > 0)) return `pool ${parts.name}: zones stay in use by reads`;
      if (busy) continue;
      if (parts.zoneUse.uncommitted.some((count) => count > 0)) return `pool ${parts.name}: zones stay uncommitted`;
      const { batches, strips, rebuilds, fetches } = parts.staging;
      if (![batches, strips, rebuilds, fetches].every(({ isIdle }) => isIdle))
        return `pool ${parts.name}: staging regions are not given back`;
    }
  }
  return undefined;
}
