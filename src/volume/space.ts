/**
 * How much a pool can hold, and how full it is.
 *
 * Compaction needs room to move: `reserveZones` are kept from hosts. With them some zone always has garbage in it, so
 * compaction always gains.
 *
 * Invariant: live blocks + dirty blocks that will become live ≤ usable blocks: what was acknowledged can be destaged.
 */
import { ZONE_STATE, type ZoneTable } from "../map/zone-table.ts";
import type { GroupGeometry } from "../raid/geometry.ts";

const RESERVE_SHARE = 0.08;
const RESERVE_ZONES_MIN = 5;
/** Zones that only compaction may take: its own open zone, and one to go on with. */
export const COMPACTION_ZONES = 2;

export class Space {
  readonly usableBlocks: number;
  readonly reserveZones: number;
  readonly #zones: ZoneTable;

  constructor(geometry: GroupGeometry, zones: ZoneTable) {
    this.#zones = zones;
    this.reserveZones = Math.max(RESERVE_ZONES_MIN, Math.ceil(geometry.zoneSlots * RESERVE_SHARE));
    this.usableBlocks = Math.max(0, geometry.zoneSlots - this.reserveZones) * geometry.blocksPerZone;
  }

  get liveBlocks(): number {
    return this.#zones.liveTotal;
  }

  get freeZones(): number {
    return this.#zones.count(ZONE_STATE.free);
  }

  /** Compaction starts below this many free zones, and goes on until it is reached. */
  get freeZonesWanted(): number {
    return this.reserveZones;
  }

  /** How short of free zones the pool is: 0 when it has what it wants, 1 when only compaction may take another. */
  get shortage(): number {
    const spare = this.freeZones - COMPACTION_ZONES;
    return Math.min(1, Math.max(0, 1 - spare / (this.freeZonesWanted - COMPACTION_ZONES)));
  }

  /** Every block that is dirty is taken for one that needs new room: right or on the safe side. */
  hasRoomFor(newBlocks: number, dirtyBlocks: number): boolean {
    return this.#zones.liveTotal + dirtyBlocks + newBlocks <= this.usableBlocks;
  }
}
