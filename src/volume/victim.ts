/**
 * Which zone compaction empties next: the one whose room, kept for as long as its age promises, is worth its moving most.
 *
 * Cost and benefit as in Rosenblum and Ousterhout's log-structured file system: (1 − u) × age / (1 + u), u the share that
 * lives. The age is counted in zones born since, so that it needs no clock and survives a restart; its root is taken, as
 * that is level with the emptiest zone for uniform writes and 12 to 20 % better for hot and cold ones (bench/compaction.mjs).
 */
import { ZONE_STATE, type ZoneTable } from "../map/zone-table.ts";

/**
 * A zone fuller than this is not worth moving, unless zones are short: destage may wait for one, and where the garbage of
 * a full pool is spread evenly no zone has more. Then one stripe to be gained is enough.
 */
const LIVE_SHARE_MAX = 0.97;

export interface VictimOptions {
  readonly zones: ZoneTable;
  readonly blocksPerZone: number;
  readonly blocksPerStripe: number;
  /** Zones are short: the one that gives the most room now is wanted. */
  readonly isUrgent: boolean;
  readonly mayEmpty: (slot: number) => boolean;
}

/** The slot of the zone to empty, or −1. */
export function chooseVictim({ zones, blocksPerZone, blocksPerStripe, isUrgent, mayEmpty }: VictimOptions): number {
  const worthIt = blocksPerZone * LIVE_SHARE_MAX;
  const liveMax = isUrgent ? Math.max(worthIt, blocksPerZone - blocksPerStripe) : worthIt;
  let best = -1;
  let bestScore = 0;
  for (let slot = 0; slot < zones.slotCount; slot++) {
    if (zones.state[slot] !== ZONE_STATE.sealed || !mayEmpty(slot)) continue;
    if (zones.live[slot]! > liveMax) continue;
    const share = zones.live[slot]! / blocksPerZone;
    const age = zones.nextZone - zones.zone[slot]!;
    const score = victimScore(share, isUrgent ? 1 : age);
    if (score <= bestScore) continue;
    best = slot;
    bestScore = score;
  }
  return best;
}

function victimScore(liveShare: number, age: number): number {
  // Nothing need be read or moved.
  if (liveShare === 0) return Number.POSITIVE_INFINITY;
  return ((1 - liveShare) / (1 + liveShare)) * Math.sqrt(age);
}
