/**
 * Gives zones back: what still lives in a zone is written to new stripes, then the zone is removed whole.
 *
 *   victim (victim.ts) ─▶ read its stripes ─▶ live blocks, checked ─▶ gathered ─▶ new stripes, durable ─▶ map durable
 *     ─▶ "emptied" in the map's log ─▶ removed on every drive ─▶ "freed" in the log: its slot is free again
 *
 * What survived goes to zones of its own: it is colder than what hosts write. Live blocks of several reads are gathered
 * into one batch, so that a zone with little alive costs few writes and no padding; the next stripes are read while a
 * batch is written. It goes as hard as zones are short: a share of the time, all of it when destage waits.
 *
 * Runs on: the owning director's thread, beside destage, when free zones run low; in slices, between which hosts come in.
 * Invariants:
 *  1. A zone is removed only when the map names nothing in it, nothing written to it waits for its map entry, and no
 *     read of it is under way.
 *  2. A block that can't be read stays where it is, and its zone with it, until it is on record as lost (losses.ts):
 *     nothing is made of it here. It may be that only a drive is away.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { FRAME_STATE, MASK_FULL } from "../cache/frame-pool.ts";
import { MapChange, ZONE_EVENT } from "../map/map-log.ts";
import { PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { DataReader } from "../raid/data-reader.ts";
import { placeOf } from "../raid/geometry.ts";
import { blockMatches, PADDING_VOLUME, readTag, tagAddress, tagMatches } from "../raid/strip.ts";
import { StripeBatch } from "../raid/stripe-batch.ts";
import { stripAddress } from "../raid/stripe-builder.ts";
import type { ZoneAppender } from "../raid/zone-appender.ts";
import { PoolClosedError } from "./pool-closed-error.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";
import { breathe, pause } from "./runtime.ts";
import { chooseVictim } from "./victim.ts";

const READ_POLL_MILLISECONDS = 5;
/** Batches under way: the drives have one to write while another is made durable. */
const WRITES_MAX = 2;
/** Share of the time that compaction works: rises with the shortage of zones, to all of it at two thirds. */
const DUTY_SHARE_MIN = 0.1;
const DUTY_PER_SHORTAGE = 1.5;
/** Its longest rest between two steps. */
const REST_MILLISECONDS_MAX = 200;
/** From this shortage on the victim is the zone that gives the most room now. */
const URGENT_SHORTAGE = 0.9;
/** Tags, or live blocks, that are looked at before hosts are let in. */
const SLICE_BLOCKS = 24;
/** Blocks whose map pages are kept in memory at a time: each may lie on another. */
const PINNED_BLOCKS = 256;

export interface CompactorOptions {
  readonly pool: PoolParts;
  readonly appender: ZoneAppender;
  readonly stripesPerBatch: number;
  /** Zones became free: appenders and writes that waited may go on. */
  readonly onFreed: () => void;
  /** A zone has blocks that can't be read. */
  readonly onDamaged: (slot: number) => void;
}

export class Compactor {
  readonly #options: CompactorOptions;
  readonly #pool: PoolParts;
  readonly #data: DataReader;
  /** The one that is gathered; those that are written come back to `#spare`. */
  #batch: StripeBatch;
  readonly #spare: StripeBatch[] = [];
  /** Writes under way, oldest first. */
  readonly #writes: Promise<void>[] = [];
  #running: Promise<void> | undefined;
  /**
   * Slots of zones whose live blocks could not all be read. Looked at again when someone wants them empty, or nothing lives in
   * them any more, or after the next start.
   */
  readonly #stuck = new Set<number>();
  /** By slot of a zone that is to be emptied: what can only be moved from memory. */
  readonly #inMemory = new Map<number, readonly BlockAt[]>();
  /** Zones that are to be emptied whatever they hold, and who waits for that. */
  readonly #wanted = new Map<number, (() => void)[]>();
  #stopping = false;

  constructor(options: CompactorOptions) {
    this.#options = options;
    this.#pool = options.pool;
    this.#data = new DataReader({ ...options.pool, stripesMax: options.stripesPerBatch });
    const capacity = options.stripesPerBatch * options.pool.geometry.blocksPerStripe;
    this.#batch = new StripeBatch(capacity);
    for (let n = 0; n < WRITES_MAX; n++) this.#spare.push(new StripeBatch(capacity));
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /**
   * Moves what lives in a sealed zone to new ones and removes it, however full it is: for a zone that a drive can't be given
   * again, or has bad strips of. Resolves when the zone is gone, or has to stay: what can be read of a damaged one would take room,
   * and give none, as long as a drive is away that may have the rest.
   * @param inMemory - blocks of it that can't be read, and that memory may still have
   * @param isWhole - all that lives in it was read
   */
  evacuate(slot: number, inMemory: readonly BlockAt[] = [], isWhole = false): Promise<void> {
    const { driveHealth, group, map } = this.#pool;
    const isKept = !isWhole && group.mayComeBack && driveHealth.damagedZones.has(map.zones.zone[slot]!);
    if (this.#stopping || isKept) return Promise.resolve();
    return new Promise((resolve) => {
      this.#stuck.delete(slot);
      if (inMemory.length > 0) this.#inMemory.set(slot, inMemory);
      const waiting = this.#wanted.get(slot);
      if (waiting !== undefined) waiting.push(resolve);
      else this.#wanted.set(slot, [resolve]);
      this.poke();
    });
  }

  /** Starts if free zones are wanted and one can be gained. */
  poke(): void {
    const { space, health, counters } = this.#pool;
    if (this.#running !== undefined || this.#stopping || health.failed) return;
    if (this.#wanted.size === 0 && space.freeZones >= space.freeZonesWanted) return;
    if (this.#victim() < 0) return;
    counters[POOL_COUNT.compactionActive] = 1;
    this.#running = this.#run()
      .catch((error: unknown) => {
        if (!(error instanceof PoolClosedError)) health.fail(error);
      })
      .finally(() => {
        this.#running = undefined;
        counters[POOL_COUNT.compactionActive] = 0;
        this.#options.onFreed();
      });
  }

  /** Ends between two zones, or between two steps of one. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
    for (const slot of [...this.#wanted.keys()]) this.#settleWanted(slot);
  }

  async #run(): Promise<void> {
    const { space, health } = this.#pool;
    while (!this.#stopping && !health.failed && (this.#wanted.size > 0 || space.freeZones < space.freeZonesWanted)) {
      const victim = this.#victim();
      if (victim < 0) return;
      const emptied = await this.#empty(victim);
      if (emptied) this.#settleWanted(victim);
      if (!emptied) return;
      this.#options.onFreed();
    }
  }

  /** Tells who wanted the zone to be emptied that no more will come of it. */
  #settleWanted(slot: number): void {
    const waiting = this.#wanted.get(slot);
    this.#wanted.delete(slot);
    for (const resolve of waiting ?? []) resolve();
  }

  #victim(): number {
    const { map, zoneUse, geometry, space, driveHealth } = this.#pool;
    for (const slot of this.#wanted.keys()) {
      if (map.zones.state[slot] !== ZONE_STATE.sealed || this.#stuck.has(slot)) this.#settleWanted(slot);
      else if (zoneUse.uncommitted[slot] === 0) return slot;
    }
    if (space.freeZones >= space.freeZonesWanted) return -1;
    return chooseVictim({
      zones: map.zones,
      blocksPerZone: geometry.blocksPerZone,
      blocksPerStripe: geometry.blocksPerStripe,
      isUrgent: space.shortage >= URGENT_SHORTAGE,
      // One that is damaged would take room for what can be read of it, and give none: losses.ts has it emptied.
      mayEmpty: (slot) =>
        zoneUse.uncommitted[slot] === 0 &&
        (map.zones.live[slot] === 0 || !(this.#stuck.has(slot) || driveHealth.damagedZones.has(map.zones.zone[slot]!))),
    });
  }

  /** Moves what lives in a zone and removes it. False: stopped on the way; nothing is lost by that. */
  async #empty(slot: number): Promise<boolean> {
    const { map, counters } = this.#pool;
    if (map.zones.live[slot]! > 0 && !(await this.#moveLive(slot))) return false;
    if (map.zones.live[slot]! > 0) {
      this.#stuck.add(slot);
      this.#options.onDamaged(slot);
      this.#pool.runtime.raise({
        severity: "critical",
        type: "zone.unreadable",
        subject: `pool ${this.#pool.name}`,
        message: `zone ${map.zones.zone[slot]} has ${map.zones.live[slot]} blocks in strips that can't be read or rebuilt; it is kept as it is`,
      });
      return true;
    }
    await this.removeZone(slot);
    counters[POOL_COUNT.compactedZones]! += 1;
    return true;
  }

  async #moveLive(slot: number): Promise<boolean> {
    const { map, staging, zoneUse } = this.#pool;
    let source = await staging.batches.take();
    const gather = await staging.batches.take();
    /** Reads that were given up on, and may still land in `source`. */
    const late: Promise<void>[] = [];
    try {
      const stripes = map.zones.stripes[slot]!;
      const step = this.#options.stripesPerBatch;
      for (let stripe = 0; stripe < stripes && map.zones.live[slot]! > 0; stripe += step) {
        if (this.#stopping) break;
        const began = this.#pool.runtime.nowMilliseconds();
        const count = Math.min(step, stripes - stripe);
        const stripesRead = { zone: map.zones.zone[slot]!, firstStripe: stripe, count, base: source, late };
        await zoneUse.whileReading(slot, () => this.#data.read(stripesRead));
        await this.#collect({ slot, firstStripe: stripe, count, source, gather });
        if (late.length > 0) {
          // What lands now is what was asked for; later it would be in the middle of something else.
          staging.batches.giveLanded(source, late.splice(0));
          source = await staging.batches.take();
        }
        await this.#rest(this.#pool.runtime.nowMilliseconds() - began);
      }
      await this.#collectFromMemory(slot, gather);
      if (this.#batch.count > 0) await this.#flush();
      while (this.#writes.length > 0) await this.#writes.shift();
    } finally {
      // After an error others may be under way still.
      await Promise.allSettled(this.#writes.splice(0));
      this.#batch.count = 0;
      staging.batches.give(gather);
      staging.batches.giveLanded(source, late);
    }
    return !this.#stopping;
  }

  /** After a step that took so long: a rest, so that steps take the share of the time that the shortage of zones asks for. */
  async #rest(stepMilliseconds: number): Promise<void> {
    const share = Math.min(1, Math.max(DUTY_SHARE_MIN, this.#pool.space.shortage * DUTY_PER_SHORTAGE));
    const milliseconds = Math.min(REST_MILLISECONDS_MAX, stepMilliseconds * (1 / share - 1));
    if (milliseconds >= 1 && !this.#stopping) await pause(this.#pool.runtime, milliseconds);
  }

  /** Removes a zone that nothing lives in. Also for recovery: a zone that was being removed when the array stopped. */
  async removeZone(slot: number): Promise<void> {
    const { map, group, zoneUse, runtime } = this.#pool;
    const zone = map.zones.zone[slot]!;
    if (map.zones.state[slot] !== ZONE_STATE.emptied) await this.#log(ZONE_EVENT.emptied, slot, zone);
    runtime.reached("compaction.zoneEmptied");
    while (zoneUse.reading[slot]! > 0) await pause(runtime, READ_POLL_MILLISECONDS);
    await group.onEach(group.positions, (drive) => drive.resetZone(zone));
    runtime.reached("compaction.zoneReset");
    this.#stuck.delete(slot);
    await this.#log(ZONE_EVENT.freed, slot, zone);
    runtime.reached("compaction.zoneFreed");
  }

  #log(kind: number, slot: number, zone: number): Promise<void> {
    return this.#pool.map.exclusive(async () => {
      const change = new MapChange();
      change.events.push({ kind, slot, zone, stripes: 0 });
      await this.#pool.map.commit(change);
    });
  }

  /** Gathers the live blocks of the stripes in the batch, and has it written whenever it is full. */
  async #collect(read: StripesRead & { readonly gather: Address }): Promise<void> {
    const { map, runtime } = this.#pool;
    const found = this.#candidates(read);
    const unpin = await map.pinPages(found.volumes, found.blocks, found.places.length);
    try {
      for (let n = 0; n < found.places.length; n++) {
        if (n > 0 && n % SLICE_BLOCKS === 0) await breathe(runtime);
        if (map.lookup(found.volumes[n]!, found.blocks[n]!) !== found.places[n]) continue;
        if (this.#batch.isFull) await this.#flush();
        const address = read.gather + this.#batch.count * FRAME_BYTES;
        const crc = await this.#gathered(read.slot, found, n, address);
        if (crc === undefined) continue;
        this.#batch.add({
          volume: found.volumes[n]!,
          block: found.blocks[n]!,
          crc,
          source: address,
          frame: -1,
          from: found.places[n]!,
        });
      }
    } finally {
      unpin();
    }
  }

  /** Destage would write it anew, too; but not where it waits for the room that this zone takes. */
  async #collectFromMemory(slot: number, gather: Address): Promise<void> {
    const blocks = (this.#inMemory.get(slot) ?? []).filter((at) => this.#cleanFrame(at) >= 0);
    this.#inMemory.delete(slot);
    // A part of the map's pages at a time: those that one pinning names must all be in memory at once.
    for (let n = 0; n < blocks.length; n += PINNED_BLOCKS)
      await this.#gatherFromMemory(blocks.slice(n, n + PINNED_BLOCKS), gather);
  }

  async #gatherFromMemory(blocks: readonly BlockAt[], gather: Address): Promise<void> {
    const { frames, global, map } = this.#pool;
    const unpin = await map.pinPages(
      blocks.map(({ volume }) => volume),
      blocks.map(({ block }) => block),
      blocks.length,
    );
    try {
      for (const { volume, block, place } of blocks) {
        if (this.#batch.isFull) await this.#flush();
        const frame = this.#cleanFrame({ volume, block });
        if (frame < 0 || map.lookup(volume, block) !== place) continue;
        const source = gather + this.#batch.count * FRAME_BYTES;
        global.kernels.copy(source, frames.addressOf(frame), FRAME_BYTES);
        this.#batch.add({ volume, block, crc: frames.crc[frame]!, source, frame: -1, from: place });
      }
    } finally {
      unpin();
    }
  }

  /** The frame that holds the whole of a block, and nothing newer than the drives should have; −1: there is none. */
  #cleanFrame({ volume, block }: Pick<BlockAt, "volume" | "block">): number {
    const { cache, frames } = this.#pool;
    const frame = cache.find(volume, block);
    const isWhole = frame >= 0 && frames.state[frame] === FRAME_STATE.clean && frames.mask[frame] === MASK_FULL;
    return isWhole ? frame : -1;
  }

  /** Blocks that live by what is known of the map, or may: their page must be loaded to tell. */
  #candidates(read: StripesRead): Candidates {
    const { geometry, global, map } = this.#pool;
    const { shape, dataDrives } = geometry;
    const found: Candidates = { volumes: [], blocks: [], places: [], addresses: [] };
    for (let n = 0; n < read.count; n++) {
      const stripe = read.firstStripe + n;
      for (let column = 0; column < dataDrives; column++) {
        const strip = this.#strip(read.source, geometry.level.positionOf(stripe, column, 0), n);
        for (let index = 0; index < shape.blocksPerStrip; index++) {
          const tag = readTag(global, strip, shape, index);
          if (tag.volume === PADDING_VOLUME || !map.pages.hasVolume(tag.volume)) continue;
          const place = placeOf(geometry, { slot: read.slot, stripe, column, index });
          const mapped = map.lookup(tag.volume, tag.block);
          if (mapped !== place && mapped !== PAGE_NOT_LOADED) continue;
          found.volumes.push(tag.volume);
          found.blocks.push(tag.block);
          found.places.push(place);
          found.addresses.push(strip + index * FRAME_BYTES);
        }
      }
    }
    return found;
  }

  /**
   * Brings the block to `address`, and answers with its checksum once it is there what the map expects: what was read may
   * still change under a drive that is late. Rebuilt when it is not what the map expects; undefined where that can't be.
   */
  async #gathered(slot: number, found: Candidates, n: number, address: Address): Promise<number | undefined> {
    const { geometry, global, map, reader, zoneUse } = this.#pool;
    const { shape, dataDrives, stripesPerZone } = geometry;
    const place = found.places[n]!;
    const source = found.addresses[n]!;
    const zone = map.zones.zone[slot]!;
    const index = (place - 1) % shape.blocksPerStrip;
    const expected = { volume: found.volumes[n]!, block: found.blocks[n]!, zone };
    global.kernels.copy(address, source, FRAME_BYTES);
    let crc = dataChecksum(global.view(address, FRAME_BYTES));
    if (tagMatches(global, tagAddress(source - index * FRAME_BYTES, shape, index), crc, expected)) return crc;
    const column = Math.floor((place - 1) / shape.blocksPerStrip) % dataDrives;
    const stripe = Math.floor((place - 1) / geometry.blocksPerStripe) % stripesPerZone;
    const isRight = (whole: Address): boolean => {
      if (!blockMatches(global, whole, shape, index, expected)) return false;
      global.kernels.copy(address, whole + index * FRAME_BYTES, FRAME_BYTES);
      crc = readTag(global, whole, shape, index).crc;
      return true;
    };
    const outcome = await zoneUse.whileReading(slot, () => reader.read({ zone, stripe, column }, isRight));
    return outcome === "lost" ? undefined : crc;
  }

  /** Begins to write what was gathered; resolves when the gathering place may be used again. */
  async #flush(): Promise<void> {
    if (this.#writes.length === WRITES_MAX) await this.#writes.shift();
    const batch = this.#batch;
    this.#batch = this.#spare.pop()!;
    let copied: () => void = () => undefined;
    const isCopied = new Promise<void>((resolve) => {
      copied = resolve;
    });
    const write = this.#write(batch, copied);
    this.#writes.push(write);
    // Who takes it from the list hears of it.
    write.catch(() => undefined);
    await Promise.race([isCopied, write]);
  }

  async #write(batch: StripeBatch, copied: () => void): Promise<void> {
    const { staging, map, counters } = this.#pool;
    try {
      const base = await staging.batches.take();
      try {
        await this.#options.appender.append(batch, base, copied);
      } finally {
        staging.batches.give(base);
      }
      const unpin = await map.pinPages(batch.volume, batch.block, batch.count);
      try {
        await map.exclusive(async () => {
          const change = new MapChange();
          for (let n = 0; n < batch.count; n++) {
            const volume = batch.volume[n]!;
            // Overwritten or unmapped meanwhile: the copy is garbage. What is being deleted is moved as long as it is mapped.
            if (map.lookup(volume, batch.block[n]!) !== batch.from[n]) continue;
            change.add(volume, batch.block[n]!, batch.place[n]!, batch.from[n]!);
          }
          await map.commit(change);
          counters[POOL_COUNT.compactedBlocks]! += change.count;
        });
        this.#pool.runtime.reached("compaction.moved");
      } finally {
        unpin();
      }
    } finally {
      this.#options.appender.committed(batch);
      batch.count = 0;
      this.#spare.push(batch);
    }
  }

  #strip(source: Address, position: number, n: number): Address {
    return stripAddress(this.#pool.geometry, source, this.#options.stripesPerBatch, position, n);
  }
}

/** A block at the place that the map names. */
export interface BlockAt {
  readonly volume: number;
  readonly block: number;
  readonly place: number;
}

/** A run of a zone's stripes in staging. */
interface StripesRead {
  readonly slot: number;
  readonly firstStripe: number;
  readonly count: number;
  readonly source: Address;
}

interface Candidates {
  readonly volumes: number[];
  readonly blocks: number[];
  readonly places: number[];
  readonly addresses: Address[];
}
