/**
 * The zones of a pool: which zone fills which slot, its state, and how many live blocks it has.
 *
 *   free ──open──▶ open ──seal──▶ sealed ──(nothing lives, or compacted)──▶ emptied ──removed from all drives──▶ free
 *
 * `live` counts the map entries that name a place in the zone; what is written and not live is garbage.
 *
 * Runs on: the owning director's thread. Changed only by PoolMap.apply (from log records) and by recovery.
 * Invariants:
 *  1. A zone number is given out once in the life of a pool.
 *  2. liveTotal is the sum of live over all slots, and the number of mapped blocks of all volumes.
 *  3. `state` is changed by `setState` only: it keeps the number of zones in each state.
 */
export const ZONE_STATE = { free: 0, open: 1, sealed: 2, emptied: 3 } as const;
export type ZoneState = (typeof ZONE_STATE)[keyof typeof ZONE_STATE];

export class ZoneTable {
  readonly zone: Uint32Array;
  readonly state: Uint8Array;
  /** Stripes written, padding included; exact for sealed zones. */
  readonly stripes: Uint32Array;
  readonly live: Uint32Array;
  readonly #counts = new Uint32Array(Object.keys(ZONE_STATE).length);
  nextZone = 1;
  liveTotal = 0;

  constructor(slotCount: number) {
    this.zone = new Uint32Array(slotCount);
    this.state = new Uint8Array(slotCount);
    this.stripes = new Uint32Array(slotCount);
    this.live = new Uint32Array(slotCount);
    this.#counts[ZONE_STATE.free] = slotCount;
  }

  /** Takes over what another table says. */
  assign(other: ZoneTable): void {
    this.zone.set(other.zone);
    this.state.set(other.state);
    this.#counts.set(other.#counts);
    this.stripes.set(other.stripes);
    this.live.set(other.live);
    this.nextZone = other.nextZone;
    this.liveTotal = other.liveTotal;
  }

  get slotCount(): number {
    return this.zone.length;
  }

  /** Zones in a state: asked for with every batch and every write that waits, so it is kept, not counted. */
  count(state: ZoneState): number {
    return this.#counts[state]!;
  }

  setState(slot: number, state: ZoneState): void {
    this.#counts[this.state[slot]!]! -= 1;
    this.#counts[state]! += 1;
    this.state[slot] = state;
  }

  /** A free slot, or −1. */
  findFree(): number {
    return this.state.indexOf(ZONE_STATE.free);
  }

  addLive(slot: number, delta: number): void {
    const live = this.live[slot]! + delta;
    if (live < 0) throw new Error(`invariant: zone slot ${slot} has fewer than no live blocks`);
    this.live[slot] = live;
    this.liveTotal += delta;
  }
}
