/**
 * Writes batches of new stripes into open zones, one zone after the other.
 *
 *   batch → as many stripes as the open zone has left → one write for each drive, in parallel → next zone for the rest
 *
 * Making a zone and finishing one take the drives some 10 to 100 ms. So the next zone is made while the open one fills, if
 * zones are plenty, and a full one is finished beside the writes to the next.
 *
 * Runs on: the owning director's thread. One appender for each stream (destage, compaction), each with its own zone.
 * Invariants:
 *  1. A stripe is written once; strips of a zone rise on every drive.
 *  2. A zone is in the map's log before it is made on any drive, so that its number is never used again.
 *  3. From the moment that stripes are allotted until `committed` is called, their zone is not emptied
 *     (`uncommitted`): its live count does not yet tell of them.
 *  4. At most one full zone is being finished, and one is made ahead.
 *  5. When `append` resolves the stripes are durable on all online drives; drives that missed them are lost, on record.
 *  6. Nobody waits for a free zone in turn.
 */
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { MapChange, ZONE_EVENT } from "../map/map-log.ts";
import type { PoolMap } from "../map/pool-map.ts";
import type { GroupGeometry } from "./geometry.ts";
import type { RaidGroup } from "./raid-group.ts";
import type { StripeBatch } from "./stripe-batch.ts";
import { buildStripe, type StripeRun, stripAddress } from "./stripe-builder.ts";

/** The next zone is made when this part of the open one is full. */
const AHEAD_SHARE = 0.75;

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
  readonly #mayTakeZone: () => boolean;
  readonly #zonesArePlenty: () => boolean;
  readonly #breathe: () => Promise<void>;
  readonly #reached: (site: string) => void;
  #open: OpenZone | undefined;
  readonly #whenOpened: (() => void)[] = [];
  #next: Promise<OpenZone> | undefined;
  /** The full zone that is being finished. */
  #sealing: Promise<void> = Promise.resolve();
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
    /** It may now. */
    mayTakeZone: () => boolean;
    /** A zone may be taken before it is needed. */
    zonesArePlenty: () => boolean;
    /** Lets hosts in: awaited between two stripes. */
    breathe: () => Promise<void>;
    /** PoolRuntime.reached. */
    reached?: (site: string) => void;
  }) {
    this.#global = options.global;
    this.#geometry = options.geometry;
    this.#group = options.group;
    this.#map = options.map;
    this.#stripesMax = options.stripesMax;
    this.#uncommitted = options.uncommitted;
    this.#freeZone = options.freeZone;
    this.#mayTakeZone = options.mayTakeZone;
    this.#zonesArePlenty = options.zonesArePlenty;
    this.#breathe = options.breathe;
    this.#reached = options.reached ?? (() => undefined);
  }

  /**
   * Writes the batch through the staging region at `base`; fills in `batch.place`.
   * @param copied - called when the blocks' sources are not needed any more
   */
  async append(batch: StripeBatch, base: Address, copied?: () => void): Promise<void> {
    const { blocksPerStripe } = this.#geometry;
    for (let item = 0; item < batch.count; ) {
      const firstItem = item;
      // In turn to the point where the drives have the write: invariant 1.
      const { run, durable } = await this.#withZone(async () => {
        const { run, open } = await this.#allot(Math.ceil((batch.count - firstItem) / blocksPerStripe));
        batch.slots.push(run.slot);
        await this.#build(batch, firstItem, run, base);
        this.#reached("stripes.built");
        return { run, durable: this.#write(run, open, base) };
      });
      item += run.stripeCount * blocksPerStripe;
      if (item >= batch.count) copied?.();
      await durable;
      this.#reached("stripes.durable");
    }
  }

  /** The batch's map entries are durable, or will never be made. */
  committed(batch: StripeBatch): void {
    for (const slot of batch.slots) this.#uncommitted[slot]! -= 1;
    batch.slots.length = 0;
  }

  /**
   * Runs `work` while this stream has no zone: the open one is finished, and so is one that was made ahead. Whatever is
   * written afterwards goes to zones that are made afterwards.
   */
  closed<T>(work: () => Promise<T>): Promise<T> {
    return this.#inTurn(async () => {
      if (this.#open !== undefined) await this.#sealLater(this.#open);
      const next = this.#next;
      this.#next = undefined;
      if (next !== undefined) await this.#sealLater(await next);
      await this.#sealing;
      return work();
    });
  }

  /**
   * Runs `work` in turn, when there is a zone to write to. A free one is waited for out of turn: whoever makes room may have to
   * see this stream without a zone first (`closed`), to move what is lost in part out of its zones.
   */
  async #withZone<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      const done = await this.#inTurn(async () => {
        if (this.#open?.nextStripe === this.#geometry.stripesPerZone) await this.#sealLater(this.#open);
        if (this.#open === undefined && this.#next === undefined && !this.#mayTakeZone()) return undefined;
        return { value: await work() };
      });
      if (done !== undefined) return done.value;
      if (this.#open === undefined) await this.#zoneForAny();
    }
  }

  /** There is a free zone to take; or another batch of this stream had one, and what is left of it may do for this one. */
  async #zoneForAny(): Promise<void> {
    const free = this.#freeZone();
    // Who waits no more does not hear that the pool stops.
    free.catch(() => undefined);
    const opened = new Promise<void>((resolve) => {
      this.#whenOpened.push(resolve);
    });
    await Promise.race([free, opened]);
  }

  async #allot(stripes: number): Promise<{ run: StripeRun; open: OpenZone }> {
    const { stripesPerZone } = this.#geometry;
    const open = this.#open ?? (await this.#takeZone());
    const stripeCount = Math.min(stripes, this.#stripesMax, stripesPerZone - open.nextStripe);
    const run: StripeRun = { slot: open.slot, zone: open.zone, firstStripe: open.nextStripe, stripeCount };
    open.nextStripe += stripeCount;
    open.writing += 1;
    this.#uncommitted[open.slot]! += 1;
    if (this.#next === undefined && open.nextStripe >= stripesPerZone * AHEAD_SHARE && this.#zonesArePlenty()) {
      this.#next = this.#makeZone();
      // Who takes the zone hears of it.
      this.#next.catch(() => undefined);
    }
    return { run, open };
  }

  /** Puts the run's stripes together at `base`, a stripe at a time. */
  async #build(batch: StripeBatch, firstItem: number, run: StripeRun, base: Address): Promise<void> {
    const job = {
      global: this.#global,
      geometry: this.#geometry,
      batch,
      firstItem,
      run,
      base,
      stripesMax: this.#stripesMax,
    };
    for (let n = 0; n < run.stripeCount; n++) {
      if (n > 0) await this.#breathe();
      buildStripe(job, n);
    }
  }

  async #takeZone(): Promise<OpenZone> {
    const next = this.#next ?? this.#makeZone();
    this.#next = undefined;
    this.#open = await next;
    for (const go of this.#whenOpened.splice(0)) go();
    return this.#open;
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

  /** Begins to finish a full zone; waits only for the one before. */
  async #sealLater(open: OpenZone): Promise<void> {
    await this.#sealing;
    this.#open = undefined;
    this.#sealing = this.#seal(open);
    // Who seals the next zone hears of it.
    this.#sealing.catch(() => undefined);
  }

  async #seal(open: OpenZone): Promise<void> {
    if (open.writing > 0) {
      await new Promise<void>((resolve) => {
        open.idle = resolve;
      });
    }
    await this.#group.onEach(this.#group.positions, (drive) => drive.finishZone(open.zone));
    this.#reached("zone.finished");
    await this.#map.exclusive(async () => {
      const change = new MapChange();
      change.events.push({ kind: ZONE_EVENT.sealed, slot: open.slot, zone: open.zone, stripes: open.nextStripe });
      await this.#map.commit(change);
    });
    this.#reached("zone.sealed");
  }

  async #makeZone(): Promise<OpenZone> {
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
    this.#reached("zone.logged");
    await this.#group.onEach(this.#group.positions, (drive) => drive.createZone(zone));
    this.#reached("zone.created");
    return { slot, zone, nextStripe: 0, writing: 0, idle: undefined };
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#turn.then(work, work);
    this.#turn = run.catch(() => undefined);
    return run;
  }
}
