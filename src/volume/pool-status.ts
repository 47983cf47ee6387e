/** What people are told of a pool, and what is counted of it: the same for one that is served whole, and one for reading. */
import type { DriveStatus, LostStatus, PoolStatus, VolumesUsage } from "../control/contract.ts";
import type { LostBlocks } from "../map/lost-blocks.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { isTrusted, type Member } from "../raid/raid-group.ts";
import { BLOCK_BYTES } from "./block-io.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";

/** Of what is lost, so many ranges are told of; of the rest how much it is. */
const LOST_RANGES_SHOWN = 256;

/** What stands in a pool's status whatever serves it. */
export function commonStatus(parts: PoolParts, driveCapacityBytes: number) {
  const { cache, driveHealth, group, index, journal, map, name, runtime, space } = parts;
  const zonesUsed = map.zones.slotCount - map.zones.count(ZONE_STATE.free);
  const drives: DriveStatus[] = group.members.map((member) => ({
    name: member.name,
    state: member.state,
    ...(member.reason === undefined ? {} : { reason: member.reason }),
    capacityBytes: driveCapacityBytes,
    zonesUsed: isTrusted(member.state) ? zonesUsed : 0,
    zoneCount: map.zones.slotCount,
    errors: Math.round(driveHealth.status(member.name, runtime.nowMilliseconds()).errors * 100) / 100,
  }));
  return {
    index,
    name,
    drives,
    usage: usageOf(parts),
    usableBytes: space.usableBlocks * BLOCK_BYTES,
    liveBytes: space.liveBlocks * BLOCK_BYTES,
    dirtyBytes: cache.dirtyCount * BLOCK_BYTES,
    journalBytes: journal.capacityBytes,
    journalLiveBytes: journal.liveBytes,
    zonesFree: space.freeZones,
    zonesUsed,
    ...lostStatus(map.lost),
  };
}

/** Why the pool is not whole, by its drives; undefined: it is. */
export function reasonOf({ group }: PoolParts): string | undefined {
  const lost = group.members.filter((member) => !isTrusted(member.state)).map(lossOf);
  return lost.length > 0 ? lost.join("; ") : undefined;
}

export function lostOf({ total, ranges }: Pick<LostBlocks, "total" | "ranges">): LostStatus {
  const shown = ranges.slice(0, LOST_RANGES_SHOWN);
  const listed = shown.reduce((sum, { blockCount }) => sum + blockCount, 0);
  return { blocks: total, ranges: shown, unlistedBlocks: total - listed };
}

function lostStatus(lost: LostBlocks): Pick<PoolStatus, "lost"> {
  return lost.total === 0 ? {} : { lost: lostOf(lost) };
}

function usageOf({ map, volumes }: PoolParts): VolumesUsage {
  const count = volumes.size;
  const usage = {
    volume: new Uint32Array(count),
    mappedBytes: new Float64Array(count),
    writeCacheEnabled: new Uint8Array(count),
  };
  let n = 0;
  for (const [volume, { document }] of volumes) {
    usage.volume[n] = volume;
    usage.mappedBytes[n] = map.mappedBlocks(volume) * BLOCK_BYTES;
    usage.writeCacheEnabled[n] = document.writeCacheEnabled ? 1 : 0;
    n += 1;
  }
  return usage;
}

/** Which drive, and why. A driver's own message names the drive already. */
function lossOf({ name, state, reason }: Member): string {
  if (reason?.startsWith(`drive ${name}:`) === true) return reason;
  return `drive ${name} is ${state}${reason === undefined ? "" : `: ${reason}`}`;
}

/** Once a second. */
export function gauge({ counters, cache, frames, journal, space, map, group, health }: PoolParts): void {
  counters[POOL_COUNT.dirtyBlocks] = cache.dirtyCount;
  counters[POOL_COUNT.dirtyBlocksMax] = frames.writeFramesMax;
  counters[POOL_COUNT.cleanBlocks] = cache.cleanCount;
  counters[POOL_COUNT.evictedBlocks] = cache.clean.evicted;
  counters[POOL_COUNT.ghostHits] = cache.clean.ghostHits;
  counters[POOL_COUNT.readAheadUnused] = cache.clean.aheadUnused;
  counters[POOL_COUNT.liveBlocks] = space.liveBlocks;
  counters[POOL_COUNT.usableBlocks] = space.usableBlocks;
  counters[POOL_COUNT.zonesFree] = space.freeZones;
  counters[POOL_COUNT.zonesTotal] = map.zones.slotCount;
  counters[POOL_COUNT.journalLiveBytes] = journal.liveBytes;
  counters[POOL_COUNT.journalCapacityBytes] = journal.capacityBytes;
  counters[POOL_COUNT.degraded] = group.lostCount;
  counters[POOL_COUNT.failed] = health.failed ? 1 : 0;
}
