/**
 * Which zone compaction empties next: the one whose room, kept for as long as its age promises, is worth its moving most.
 *
 * Cost and benefit as in Rosenblum and Ousterhout's log-structured file system: (1 − u) × age / (1 + u), u the share that
 * lives. The age is counted in zones born since, so that it needs no clock and survives a restart; its root is taken, as
 * that is level with the emptiest zone for uniform writes and 12 to 20 % better for hot and cold ones (bench/compaction.mjs).
 */
import { ZONE_STATE, type ZoneTable } from "../map/zone-table.ts";

/** A zone fuller than this is not worth moving. */
const LIVE_SHARE_MAX = 0.97;

export interface VictimOptions {
  readonly zones: ZoneTable;
  readonly blocksPerZone: number;
  /** Zones are short: the one that gives the most room now is wanted. */
  readonly isUrgent: boolean;
  readonly mayEmpty: (slot: number) => boolean;
}

/** The slot of the zone to empty, or −1. */
export function chooseVictim({ zones, blocksPerZone, isUrgent, mayEmpty }: VictimOptions): number {
  let best = -1;
  let bestScore = 0;
  for (let slot = 0; slot < zones.slotCount; slot++) {
    if (zones.state[slot] !== ZONE_STATE.sealed || !mayEmpty(slot)) continue;
    const share = zones.live[slot]! / blocksPerZone;
    if (share > LIVE_SHARE_MAX) continue;
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
