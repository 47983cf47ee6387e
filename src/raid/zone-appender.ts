/**
 * Writes batches of new stripes into open zones, one zone after the other.
 *
 *   batch → as many stripes as the open zone has left → one write for each drive, in parallel → next zone for the rest
 *
 * Runs on: the owning director's thread. One appender for each stream (destage, compaction), each with its own zone.
 * Invariants:
 *  1. A stripe is written once; strips of a zone rise on every drive.
 *  2. A zone is in the map's log before it is made on any drive, so that its number is never used again.
 *  3. From the moment that stripes are allotted until `committed` is called, their zone is not emptied
 *     (`uncommitted`): its live count does not yet tell of them.
 *  4. When `append` resolves the stripes are durable on all online drives; drives that missed them are lost, on record.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { MapChange, ZONE_EVENT } from "../map/map-log.ts";
import type { PoolMap } from "../map/pool-map.ts";
import type { GroupGeometry } from "./geometry.ts";
import type { RaidGroup } from "./raid-group.ts";
import type { StripeBatch } from "./stripe-batch.ts";
import { buildStripes, type StripeRun, stripAddress } from "./stripe-builder.ts";

interface OpenZone {
  readonly slot: number;
  readonly zone: number;
  nextStripe: number;
  /** Writes under way, and who waits for the last of them. */
  writing: number;
  idle: (() => void) | undefined;
}

export class ZoneAppender {
  readonly #global: GlobalMemory;
  readonly #geometry: GroupGeometry;
  readonly #group: RaidGroup;
  readonly #map: PoolMap;
  readonly #stripesMax: number;
  readonly #uncommitted: Uint32Array;
  readonly #freeZone: () => Promise<void>;
  #open: OpenZone | undefined;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(options: {
    global: GlobalMemory;
    geometry: GroupGeometry;
    group: RaidGroup;
    map: PoolMap;
    stripesMax: number;
    /** By zone slot: runs of stripes whose map entries are not durable yet. */
    uncommitted: Uint32Array;
    /** Resolves when this stream may take a free zone. */
    freeZone: () => Promise<void>;
  }) {
    this.#global = options.global;
    this.#geometry = options.geometry;
    this.#group = options.group;
    this.#map = options.map;
    this.#stripesMax = options.stripesMax;
    this.#uncommitted = options.uncommitted;
    this.#freeZone = options.freeZone;
  }

  /** Writes the batch through the staging region at `base`; fills in `batch.place`. */
  async append(batch: StripeBatch, base: Address): Promise<void> {
    const { blocksPerStripe } = this.#geometry;
    for (let item = 0; item < batch.count; ) {
      const stripes = Math.ceil((batch.count - item) / blocksPerStripe);
      const { run, open } = await this.#allot(Math.min(stripes, this.#stripesMax));
      batch.slots.push(run.slot);
      buildStripes({
        global: this.#global,
        geometry: this.#geometry,
        batch,
        firstItem: item,
        run,
        base,
        stripesMax: this.#stripesMax,
      });
      await this.#write(run, open, base);
      item += run.stripeCount * blocksPerStripe;
    }
  }

  /** The batch's map entries are durable, or will never be made. */
  committed(batch: StripeBatch): void {
    for (const slot of batch.slots) this.#uncommitted[slot]! -= 1;
    batch.slots.length = 0;
  }

  /** Ends the open zone as it is. */
  async close(): Promise<void> {
    await this.#inTurn(async () => {
      if (this.#open !== undefined) await this.#seal(this.#open);
    });
  }

  /** Stripes for a batch; batches that run side by side are allotted in turn. */
  #allot(stripes: number): Promise<{ run: StripeRun; open: OpenZone }> {
    return this.#inTurn(async () => {
      if (this.#open !== undefined && this.#open.nextStripe === this.#geometry.stripesPerZone) await this.#seal(this.#open);
      const open = this.#open ?? (await this.#openZone());
      const stripeCount = Math.min(stripes, this.#geometry.stripesPerZone - open.nextStripe);
      const run: StripeRun = { slot: open.slot, zone: open.zone, firstStripe: open.nextStripe, stripeCount };
      open.nextStripe += stripeCount;
      open.writing += 1;
      this.#uncommitted[open.slot]! += 1;
      return { run, open };
    });
  }

  async #write(run: StripeRun, open: OpenZone, base: Address): Promise<void> {
    const { stripBytes } = this.#geometry.shape;
    try {
      await this.#group.onEach(this.#group.positions, (drive, position) =>
        drive.writeStrips({
          zone: run.zone,
          firstStrip: run.firstStripe,
          count: run.stripeCount,
          address: stripAddress(this.#geometry, base, this.#stripesMax, position, 0),
          strideBytes: stripBytes,
        }),
      );
    } finally {
      open.writing -= 1;
      if (open.writing === 0) open.idle?.();
    }
  }

  async #seal(open: OpenZone): Promise<void> {
    if (open.writing > 0) {
      await new Promise<void>((resolve) => {
        open.idle = resolve;
      });
    }
    this.#open = undefined;
    await this.#group.onEach(this.#group.positions, (drive) => drive.finishZone(open.zone));
    await this.#map.exclusive(async () => {
      const change = new MapChange();
      change.events.push({ kind: ZONE_EVENT.sealed, slot: open.slot, zone: open.zone, stripes: open.nextStripe });
      await this.#map.commit(change);
    });
  }

  async #openZone(): Promise<OpenZone> {
    await this.#freeZone();
    const { slot, zone } = await this.#map.exclusive(async () => {
      const slot = this.#map.zones.findFree();
      if (slot < 0) throw new Error("invariant: no free zone where one was promised");
      const zone = this.#map.zones.nextZone;
      const change = new MapChange();
      change.events.push({ kind: ZONE_EVENT.opened, slot, zone, stripes: 0 });
      await this.#map.commit(change);
      return { slot, zone };
    });
    await this.#group.onEach(this.#group.positions, (drive) => drive.createZone(zone));
    this.#open = { slot, zone, nextStripe: 0, writing: 0, idle: undefined };
    return this.#open;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#turn.then(work, work);
    this.#turn = run.catch(() => undefined);
    return run;
  }
}
