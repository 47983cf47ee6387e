/**
 * Gives zones back: what still lives in a zone is written to new stripes, then the zone is removed whole.
 *
 *   victim (fewest live blocks) ─▶ read its stripes ─▶ live blocks, checked ─▶ new stripes, durable ─▶ map durable
 *     ─▶ "emptied" in the map's log ─▶ removed on every drive ─▶ "freed" in the log: its slot is free again
 *
 * Runs on: the owning director's thread, beside destage, when free zones run low.
 * Invariants:
 *  1. A zone is removed only when the map names nothing in it, nothing written to it waits for its map entry, and no
 *     read of it is under way.
 *  2. A block that can't be read is moved as unreadable: it stays a medium error, and never blocks compaction. (Where
 *     not even the tags of a strip can be had, the zone is kept and people are told.)
 */
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { MapChange, ZONE_EVENT } from "../map/map-log.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { columnPosition, placeOf } from "../raid/geometry.ts";
import { blockMatches, PADDING_VOLUME, readTag, type StripPlace, stripIsSound } from "../raid/strip.ts";
import { StripeBatch } from "../raid/stripe-batch.ts";
import { stripAddress } from "../raid/stripe-builder.ts";
import type { ZoneAppender } from "../raid/zone-appender.ts";
import { POOL_COUNT } from "./pool-counters.ts";
import type { PoolParts } from "./pool-parts.ts";
import { pause } from "./runtime.ts";

/** A zone fuller than this is not worth moving. */
const LIVE_SHARE_MAX = 0.97;
const READ_POLL_MILLISECONDS = 5;

export interface CompactorOptions {
  readonly pool: PoolParts;
  readonly appender: ZoneAppender;
  readonly stripesPerBatch: number;
  /** Zones became free: appenders and writes that waited may go on. */
  readonly onFreed: () => void;
}

export class Compactor {
  readonly #options: CompactorOptions;
  readonly #pool: PoolParts;
  readonly #batch: StripeBatch;
  #running: Promise<void> | undefined;
  /** Zones whose live blocks could not all be found. Looked at again after the next start. */
  readonly #stuck = new Set<number>();
  #stopping = false;

  constructor(options: CompactorOptions) {
    this.#options = options;
    this.#pool = options.pool;
    this.#batch = new StripeBatch(options.stripesPerBatch * options.pool.geometry.blocksPerStripe);
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Starts if free zones are wanted and one can be gained. */
  poke(): void {
    const { space, health, counters } = this.#pool;
    if (this.#running !== undefined || this.#stopping || health.failed || space.freeZones >= space.freeZonesWanted) return;
    if (this.#victim() < 0) return;
    counters[POOL_COUNT.compactionActive] = 1;
    this.#running = this.#run()
      .catch((error: unknown) => health.fail(error))
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
  }

  async #run(): Promise<void> {
    const { space, health } = this.#pool;
    while (!this.#stopping && !health.failed && space.freeZones < space.freeZonesWanted) {
      const victim = this.#victim();
      if (victim < 0) return;
      if (!(await this.#empty(victim))) return;
      this.#options.onFreed();
    }
  }

  #victim(): number {
    const { map, zoneUse, geometry } = this.#pool;
    const { zones } = map;
    let best = -1;
    for (let slot = 0; slot < zones.slotCount; slot++) {
      if (zones.state[slot] !== ZONE_STATE.sealed || zoneUse.uncommitted[slot]! > 0 || this.#stuck.has(slot)) continue;
      if (best < 0 || zones.live[slot]! < zones.live[best]!) best = slot;
    }
    return best >= 0 && zones.live[best]! <= geometry.blocksPerZone * LIVE_SHARE_MAX ? best : -1;
  }

  /** Moves what lives in a zone and removes it. False: stopped on the way; nothing is lost by that. */
  async #empty(slot: number): Promise<boolean> {
    const { map, counters, staging } = this.#pool;
    if (map.zones.live[slot]! > 0) {
      const source = await staging.batches.take();
      try {
        const stripes = map.zones.stripes[slot]!;
        const step = this.#options.stripesPerBatch;
        for (let stripe = 0; stripe < stripes && map.zones.live[slot]! > 0; stripe += step) {
          if (this.#stopping) return false;
          await this.#moveStripes(slot, stripe, Math.min(step, stripes - stripe), source);
        }
      } finally {
        staging.batches.give(source);
      }
    }
    if (map.zones.live[slot]! > 0) {
      this.#stuck.add(slot);
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

  /** Removes a zone that nothing lives in. Also for recovery: a zone that was being removed when the array stopped. */
  async removeZone(slot: number): Promise<void> {
    const { map, group, zoneUse, runtime } = this.#pool;
    const zone = map.zones.zone[slot]!;
    if (map.zones.state[slot] !== ZONE_STATE.emptied) await this.#log(ZONE_EVENT.emptied, slot, zone);
    while (zoneUse.reading[slot]! > 0) await pause(runtime, READ_POLL_MILLISECONDS);
    await group.onEach(group.positions, (drive) => drive.resetZone(zone));
    await this.#log(ZONE_EVENT.freed, slot, zone);
  }

  #log(kind: number, slot: number, zone: number): Promise<void> {
    return this.#pool.map.exclusive(async () => {
      const change = new MapChange();
      change.events.push({ kind, slot, zone, stripes: 0 });
      await this.#pool.map.commit(change);
    });
  }

  async #moveStripes(slot: number, firstStripe: number, count: number, source: Address): Promise<void> {
    await this.#readStripes(slot, firstStripe, count, source);
    await this.#collect(slot, firstStripe, count, source);
    if (this.#batch.count > 0) await this.#write();
  }

  /** Reads a run of stripes from all drives; strips that can't be had are rebuilt in their place. */
  async #readStripes(slot: number, firstStripe: number, count: number, source: Address): Promise<void> {
    const { group, geometry, global, map } = this.#pool;
    const zone = map.zones.zone[slot]!;
    const { stripBytes } = geometry.shape;
    const missing: number[] = [];
    const reads = group.positions.map(async (position) => {
      const drive = group.drive(position);
      const address = this.#strip(source, position, 0);
      try {
        if (drive === undefined) throw new Error("no drive");
        await drive.readStrips({ zone, firstStrip: firstStripe, count, address, strideBytes: stripBytes });
      } catch {
        missing.push(position);
      }
    });
    await Promise.all(reads);
    for (let n = 0; n < count; n++) {
      const stripe = firstStripe + n;
      for (let column = 0; column < geometry.dataDrives; column++) {
        const position = columnPosition(geometry, stripe, column);
        const strip = this.#strip(source, position, n);
        const place = { zone, stripe, position, isParity: false };
        if (missing.includes(position) || !stripIsSound(global, strip, geometry.shape, place))
          await this.#readOne(place, column, strip);
      }
    }
  }

  /** One data strip by itself: as its drive has it, else rebuilt; zeros (padding, as tags go) when it is lost. */
  async #readOne(place: StripPlace, column: number, address: Address): Promise<void> {
    const { reader, geometry, global } = this.#pool;
    global.kernels.fill(address, 0, geometry.shape.stripBytes);
    await reader.read({ zone: place.zone, stripe: place.stripe, column }, (strip, rebuilt) => {
      if (!rebuilt && !stripIsSound(global, strip, geometry.shape, place)) return false;
      global.kernels.copy(address, strip, geometry.shape.parityBytes);
      return true;
    });
  }

  /** Puts the live blocks of the stripes into the batch. */
  async #collect(slot: number, firstStripe: number, count: number, source: Address): Promise<void> {
    const { geometry, global, map } = this.#pool;
    const { shape, dataDrives } = geometry;
    const zone = map.zones.zone[slot]!;
    const volumes: number[] = [];
    const blocks: number[] = [];
    const places: number[] = [];
    const addresses: Address[] = [];
    for (let n = 0; n < count; n++) {
      const stripe = firstStripe + n;
      for (let column = 0; column < dataDrives; column++) {
        const strip = this.#strip(source, columnPosition(geometry, stripe, column), n);
        for (let index = 0; index < shape.blocksPerStrip; index++) {
          const tag = readTag(global, strip, shape, index);
          if (tag.volume === PADDING_VOLUME || !map.pages.hasVolume(tag.volume)) continue;
          volumes.push(tag.volume);
          blocks.push(tag.block);
          places.push(placeOf(geometry, { slot, stripe, column, index }));
          addresses.push(strip + index * FRAME_BYTES);
        }
      }
    }
    const unpin = await map.pinPages(volumes, blocks, volumes.length);
    try {
      for (let n = 0; n < volumes.length; n++) {
        if (map.lookup(volumes[n]!, blocks[n]!) !== places[n]) continue;
        await this.#add({ volume: volumes[n]!, block: blocks[n]!, place: places[n]!, address: addresses[n]!, zone });
      }
    } finally {
      unpin();
    }
  }

  async #add(item: { volume: number; block: number; place: number; address: Address; zone: number }): Promise<void> {
    const { geometry, global, reader } = this.#pool;
    const { shape, dataDrives, stripesPerZone } = geometry;
    const index = (item.place - 1) % shape.blocksPerStrip;
    const strip = item.address - index * FRAME_BYTES;
    const expected = { volume: item.volume, block: item.block, zone: item.zone };
    let { crc } = readTag(global, strip, shape, index);
    if (!blockMatches(global, strip, shape, index, expected)) {
      const column = Math.floor((item.place - 1) / shape.blocksPerStrip) % dataDrives;
      const stripe = Math.floor((item.place - 1) / geometry.blocksPerStripe) % stripesPerZone;
      const outcome = await reader.read({ zone: item.zone, stripe, column }, (found) => {
        if (!blockMatches(global, found, shape, index, expected)) return false;
        global.kernels.copy(item.address, found + index * FRAME_BYTES, FRAME_BYTES);
        crc = readTag(global, found, shape, index).crc;
        return true;
      });
      if (outcome === "lost") crc = unreadableChecksum(global.kernels.crc32c(item.address, FRAME_BYTES));
    }
    this.#batch.add({ volume: item.volume, block: item.block, crc, source: item.address, frame: -1, from: item.place });
  }

  async #write(): Promise<void> {
    const { staging, map, counters, volumes } = this.#pool;
    const batch = this.#batch;
    const base = await staging.batches.take();
    try {
      await this.#options.appender.append(batch, base);
    } finally {
      staging.batches.give(base);
    }
    const unpin = await map.pinPages(batch.volume, batch.block, batch.count);
    try {
      await map.exclusive(async () => {
        const change = new MapChange();
        for (let n = 0; n < batch.count; n++) {
          const volume = batch.volume[n]!;
          // Overwritten or unmapped meanwhile: the copy is garbage.
          if (!volumes.has(volume) || map.lookup(volume, batch.block[n]!) !== batch.from[n]) continue;
          change.add(volume, batch.block[n]!, batch.place[n]!, batch.from[n]!);
        }
        await map.commit(change);
        counters[POOL_COUNT.compactedBlocks]! += change.count;
      });
    } finally {
      unpin();
      this.#options.appender.committed(batch);
      batch.count = 0;
    }
  }

  #strip(source: Address, position: number, n: number): Address {
    return stripAddress(this.#pool.geometry, source, this.#options.stripesPerBatch, position, n);
  }
}

/** A checksum that the content does not have. */
function unreadableChecksum(crc: number): number {
  return ~crc >>> 0;
}
