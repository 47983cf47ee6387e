/**
 * Finds out which blocks of a pool are lost beyond what redundancy makes good, puts them on record in the map, and has what
 * is left moved to whole stripes.
 *
 *   a read, a rebuild or a compaction meets a strip that can't be had ─▶ its zone is damaged, on record
 *     ─▶ each block that the map names there is read ─▶ the ones that can't be had: LOST_PLACE, in the map's log
 *     ─▶ the zone is evacuated: what is left is redundant again, and nothing refers to the bad strips
 *
 * While a drive is away that may be put back nothing is given up: zones of which all that lives can be read are evacuated (what
 * they lack is of the past), the others are looked at again from time to time.
 *
 * The map is walked, not the zone: where whole strips are gone, nothing but the map knows what they held.
 *
 * Runs on: the owning director's thread, a page of the map at a time. Where nothing is lost it does nothing.
 * Invariants:
 *  1. A block is given up only after it was read in vain, in every way, while no drive was away that may come back.
 *  2. A block is given up only if the map still names the place that was read in vain.
 *  3. What memory still has of a block is written anew, not given up.
 */
import type { Address } from "../../drivers/shared-memory/global-memory.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";
import { LostBlocks, type LostRange } from "../map/lost-blocks.ts";
import { MapChange } from "../map/map-log.ts";
import { PAGE_BLOCKS } from "../map/map-pages.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { decodePlace, isPlace, LOST_PLACE, slotOfPlace } from "../raid/geometry.ts";
import { blockMatches } from "../raid/strip.ts";
import type { BlockAt } from "./compactor.ts";
import { PoolClosedError } from "./pool-closed-error.ts";
import type { PoolParts } from "./pool-parts.ts";
import type { PoolRecord } from "./pool-record.ts";
import { breathe, pause } from "./runtime.ts";

/** Zones that are found damaged again and again, although all of their blocks can be read, are left as they are … */
const ATTEMPTS_MAX = 3;
/** … for so long: what could be read then may be lost by now. */
const ATTEMPTS_REST_MILLISECONDS = 600_000;
/** What lives in the zones that one walk of the map is for, but for the first of them: what it finds is kept in memory. */
const BLOCKS_AT_ONCE = 262_144;
/** What could not be read is read again after so long, each time: an error that passes must not cost a block. */
const PATIENCE_MILLISECONDS: readonly number[] = [2000, 8000];
const PATIENCE_STEP_MILLISECONDS = 250;
const REPAIR_MILLISECONDS_MAX = 10_000;
/** While a drive is away: so long after a zone was looked at it is looked at again. */
const SURVEY_REST_MILLISECONDS = 60_000;
const CHANGE_BLOCKS = 512;
/** Ranges that one event names. */
const RANGES_TOLD = 16;

export interface LossesOptions {
  readonly pool: PoolParts;
  readonly record: PoolRecord;
  /** Finishes the zones that are open. */
  readonly closeZones: () => Promise<void>;
  /** Moves what lives in a zone elsewhere. */
  readonly evacuate: (slot: number, inMemory: readonly BlockAt[], isWhole?: boolean) => Promise<void>;
  /** A block that only memory has gets a new place, soon. */
  readonly repair: (volume: number, block: number, place: number) => void;
}

export class Losses {
  readonly #options: LossesOptions;
  readonly #pool: PoolParts;
  /** Zones with strips that can't be had. */
  readonly #damaged: Set<number>;
  /** By zone: so many times in a row all of it was looked at and could be read, the last time at `since`. */
  readonly #attempts = new Map<number, { readonly count: number; readonly since: number }>();
  /** By zone, when it was looked at last while a drive was away. */
  readonly #surveyed = new Map<number, number>();
  /** A drive is away: only what can be read is looked for. */
  #isSurvey = false;
  #running: Promise<void> | undefined;
  #stopping = false;

  constructor(options: LossesOptions) {
    this.#options = options;
    this.#pool = options.pool;
    this.#damaged = options.pool.driveHealth.damagedZones;
    for (const zone of options.record.document.damagedZones ?? []) this.#damaged.add(zone);
  }

  /** Something in the zone can't be read or computed. */
  damaged(slot: number): void {
    this.#damaged.add(this.#pool.map.zones.zone[slot]!);
  }

  /** The same; on record when it resolves. */
  async note(slot: number): Promise<void> {
    this.damaged(slot);
    await this.#putOnRecord();
  }

  get isBusy(): boolean {
    return this.#running !== undefined || this.#damaged.size > 0;
  }

  /** Every second. */
  tick(): void {
    if (this.#running !== undefined || this.#stopping || this.#pool.health.failed) return;
    if (this.#damaged.size === 0 && this.#recorded.length === 0) return;
    this.#running = this.#run()
      .catch((error: unknown) => {
        if (!(error instanceof PoolClosedError)) this.#pool.health.fail(error);
      })
      .finally(() => {
        this.#running = undefined;
      });
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#running;
  }

  /** Invariant 1. What failed is not taken again, so what only it had is gone; what is only away may be put back. */
  get #isOver(): boolean {
    return this.#stopping || this.#pool.health.failed || (this.#pool.group.mayComeBack && !this.#isSurvey);
  }

  /** While a drive is away. */
  #isDue(zone: number): boolean {
    const at = this.#surveyed.get(zone);
    return at === undefined || this.#pool.runtime.nowMilliseconds() - at >= SURVEY_REST_MILLISECONDS;
  }

  get #recorded(): readonly number[] {
    return this.#options.record.document.damagedZones ?? [];
  }

  async #putOnRecord(): Promise<void> {
    const zones = [...this.#damaged].sort((a, b) => a - b);
    const before = this.#recorded;
    if (zones.length === before.length && zones.every((zone, n) => zone === before[n])) return;
    await this.#options.record.update(({ damagedZones: _, ...rest }) =>
      zones.length === 0 ? rest : { ...rest, damagedZones: zones },
    );
    this.#pool.runtime.reached("losses.zonesRecorded");
  }

  /** Slots of damaged zones that can be dealt with now; zones that nothing lives in any more are forgotten. */
  #ready(): number[] {
    const { map, runtime } = this.#pool;
    const { zones } = map;
    const slots = new Map<number, number>();
    for (let slot = 0; slot < zones.slotCount; slot++)
      if (zones.state[slot] !== ZONE_STATE.free) slots.set(zones.zone[slot]!, slot);
    for (const [zone, { since }] of this.#attempts)
      if (!slots.has(zone) || runtime.nowMilliseconds() - since >= ATTEMPTS_REST_MILLISECONDS) this.#attempts.delete(zone);
    const ready: number[] = [];
    let blocks = 0;
    for (const zone of this.#damaged) {
      const slot = slots.get(zone);
      const isTried = (this.#attempts.get(zone)?.count ?? 0) >= ATTEMPTS_MAX;
      if (slot === undefined || zones.live[slot] === 0 || isTried) this.#damaged.delete(zone);
      else if (zones.state[slot] !== ZONE_STATE.emptied && (ready.length === 0 || blocks < BLOCKS_AT_ONCE)) {
        ready.push(slot);
        blocks += zones.live[slot]!;
      }
    }
    return ready;
  }

  async #run(): Promise<void> {
    const { zones } = this.#pool.map;
    let slots = this.#ready();
    await this.#putOnRecord();
    this.#isSurvey = this.#pool.group.mayComeBack;
    if (this.#isSurvey) return this.#survey(slots.filter((slot) => this.#isDue(zones.zone[slot]!)));
    this.#surveyed.clear();
    if (slots.length === 0 || this.#isOver) return;
    // A zone that is open can't be moved, and with few writes it would stay open for long.
    if (slots.some((slot) => zones.state[slot] === ZONE_STATE.open)) await this.#options.closeZones();
    slots = slots.filter((slot) => zones.state[slot] === ZONE_STATE.sealed);
    let lost = await this.#walk(new Set(slots));
    for (const milliseconds of PATIENCE_MILLISECONDS) {
      if (lost.length === 0) break;
      await this.#wait(milliseconds);
      lost = await this.#readAgain(lost);
    }
    if (this.#isOver) return;
    // One that was cut off says nothing of the zones.
    this.#countAttempts(slots, lost);
    const found = new LostBlocks();
    for (let n = 0; n < lost.length; n += CHANGE_BLOCKS) await this.#giveUp(lost.slice(n, n + CHANGE_BLOCKS), found);
    if (found.total > 0) this.#tell(found);
    await this.#untilMoved(lost);
    for (const slot of slots) {
      const inMemory = lost.filter(({ place }) => slotOfPlace(this.#pool.geometry, place) === slot);
      if (!this.#isOver) await this.#options.evacuate(slot, inMemory);
    }
  }

  /** A drive that is rebuilt while another is away lacks what was dead by then: that must not keep zones from being emptied. */
  async #survey(slots: readonly number[]): Promise<void> {
    const { geometry, map, runtime } = this.#pool;
    const sealed = slots.filter((slot) => map.zones.state[slot] === ZONE_STATE.sealed);
    if (sealed.length === 0) return;
    const lost = await this.#walk(new Set(sealed));
    if (this.#isOver) return;
    const kept = new Set(lost.map(({ place }) => slotOfPlace(geometry, place)));
    for (const slot of sealed) {
      this.#surveyed.set(map.zones.zone[slot]!, runtime.nowMilliseconds());
      if (!kept.has(slot) && !this.#isOver) await this.#options.evacuate(slot, [], true);
    }
  }

  #countAttempts(slots: readonly number[], lost: readonly BlockAt[]): void {
    const { geometry, map, runtime } = this.#pool;
    const damaged = new Set(lost.map(({ place }) => slotOfPlace(geometry, place)));
    for (const slot of slots) {
      const zone = map.zones.zone[slot]!;
      const count = damaged.has(slot) ? 0 : (this.#attempts.get(zone)?.count ?? 0) + 1;
      this.#attempts.set(zone, { count, since: runtime.nowMilliseconds() });
    }
  }

  /** What memory had has its new place before the zone is emptied: it can't be read where it was. */
  async #untilMoved(blocks: readonly BlockAt[]): Promise<void> {
    const { map } = this.#pool;
    const isThere = ({ volume, block, place }: BlockAt): boolean => map.lookup(volume, block) === place;
    for (let waited = 0; waited < REPAIR_MILLISECONDS_MAX && !this.#isOver; waited += PATIENCE_STEP_MILLISECONDS) {
      if (!blocks.some((at) => isThere(at) && this.#pool.cache.find(at.volume, at.block) >= 0)) return;
      await pause(this.#pool.runtime, PATIENCE_STEP_MILLISECONDS);
    }
  }

  async #wait(milliseconds: number): Promise<void> {
    for (let left = milliseconds; left > 0 && !this.#isOver; left -= PATIENCE_STEP_MILLISECONDS)
      await pause(this.#pool.runtime, PATIENCE_STEP_MILLISECONDS);
  }

  /** What the map names in the zones and can't be read. */
  async #walk(slots: ReadonlySet<number>): Promise<BlockAt[]> {
    const { map, runtime, volumes } = this.#pool;
    const lost: BlockAt[] = [];
    for (const volume of [...volumes.keys()]) {
      for (let page = 0; ; page++) {
        const blockCount = volumes.get(volume)?.blockCount;
        if (blockCount === undefined || this.#isOver) break;
        const pageCount = Math.ceil(blockCount / PAGE_BLOCKS);
        page = await map.nextUsedPage(volume, page, pageCount);
        if (page >= pageCount) break;
        const unpin = await map.pinPages([volume], [page * PAGE_BLOCKS], 1);
        try {
          lost.push(...(await this.#unreadable(this.#namedBy(volume, page, slots))));
        } finally {
          unpin();
        }
        await breathe(runtime);
      }
    }
    return lost;
  }

  #namedBy(volume: number, page: number, slots: ReadonlySet<number>): BlockAt[] {
    const { geometry, map } = this.#pool;
    const named: BlockAt[] = [];
    for (let block = page * PAGE_BLOCKS; block < (page + 1) * PAGE_BLOCKS; block++) {
      const place = map.lookup(volume, block);
      if (isPlace(place) && slots.has(slotOfPlace(geometry, place))) named.push({ volume, block, place });
    }
    return named;
  }

  async #readAgain(blocks: readonly BlockAt[]): Promise<BlockAt[]> {
    const lost: BlockAt[] = [];
    for (let n = 0; n < blocks.length && !this.#isOver; n += CHANGE_BLOCKS) {
      const some = blocks.slice(n, n + CHANGE_BLOCKS);
      const unpin = await this.#pin(some);
      try {
        lost.push(...(await this.#unreadable(some)));
      } finally {
        unpin();
      }
    }
    return lost;
  }

  async #unreadable(blocks: readonly BlockAt[]): Promise<BlockAt[]> {
    const { blocksPerStrip } = this.#pool.geometry.shape;
    const strips = new Map<number, BlockAt[]>();
    for (const at of blocks) {
      const strip = Math.floor((at.place - 1) / blocksPerStrip);
      const others = strips.get(strip);
      if (others === undefined) strips.set(strip, [at]);
      else others.push(at);
    }
    const lost: BlockAt[] = [];
    for (const some of strips.values()) {
      if (this.#isOver) return [];
      lost.push(...(await this.#unreadableOf(some)));
    }
    return lost;
  }

  #pin(blocks: readonly BlockAt[]): Promise<() => void> {
    const volumes = blocks.map(({ volume }) => volume);
    const numbers = blocks.map(({ block }) => block);
    return this.#pool.map.pinPages(volumes, numbers, blocks.length);
  }

  async #giveUp(blocks: readonly BlockAt[], found: LostBlocks): Promise<void> {
    const { map, runtime } = this.#pool;
    const unpin = await this.#pin(blocks);
    try {
      await map.exclusive(async () => {
        const change = new MapChange();
        for (const at of blocks) {
          const isThere = map.lookup(at.volume, at.block) === at.place;
          if (isThere && !this.#isOver && !this.#isInMemory(at)) change.add(at.volume, at.block, LOST_PLACE, at.place);
        }
        await map.commit(change);
        for (let n = 0; n < change.count; n++) found.add(change.volume[n]!, change.block[n]!);
      });
    } finally {
      unpin();
    }
    runtime.reached("losses.logged");
  }

  /** Invariant 3. What is dirty gets a place by itself. */
  #isInMemory({ volume, block, place }: BlockAt): boolean {
    const { cache, frames, zeros } = this.#pool;
    if (zeros.covers(volume, block)) return true;
    const frame = cache.find(volume, block);
    if (frame < 0 || frames.mask[frame] !== MASK_FULL) return false;
    if (!cache.isDirty(frame)) this.#options.repair(volume, block, place);
    return true;
  }

  #tell(found: LostBlocks): void {
    const { name, runtime } = this.#pool;
    runtime.raise({
      severity: "critical",
      type: "block.lost",
      subject: `pool ${name}`,
      message: `${found.total} blocks are lost for good: ${told(found.ranges)}. Reads of them get MEDIUM ERROR until they are written anew`,
    });
  }

  /** Of the blocks of one strip, those that neither their drive has nor the rest of the stripe says. */
  async #unreadableOf(blocks: readonly BlockAt[]): Promise<BlockAt[]> {
    const { geometry, global, map, reader, zoneUse } = this.#pool;
    const { slot, stripe, column } = decodePlace(geometry, blocks[0]!.place);
    // Each by itself: hosts overwrite some of a strip's blocks meanwhile. Where none is left the slot may be another zone's.
    const left = new Set(blocks.filter(({ volume, block, place }) => map.lookup(volume, block) === place));
    if (left.size === 0) return [];
    const zone = map.zones.zone[slot]!;
    const isAllThere = (strip: Address): boolean => {
      for (const at of left) {
        const { index } = decodePlace(geometry, at.place);
        if (blockMatches(global, strip, geometry.shape, index, { volume: at.volume, block: at.block, zone })) left.delete(at);
      }
      return left.size === 0;
    };
    await zoneUse.whileReading(slot, () => reader.read({ zone, stripe, column }, isAllThere));
    return [...left];
  }
}

function told(ranges: readonly LostRange[]): string {
  const named = ranges.slice(0, RANGES_TOLD).map(({ volume, firstBlock, blockCount }) => {
    const last = firstBlock + blockCount - 1;
    return blockCount === 1 ? `block ${firstBlock} of volume ${volume}` : `blocks ${firstBlock} to ${last} of volume ${volume}`;
  });
  const more = ranges.length - named.length;
  return `${named.join(", ")}${more > 0 ? ` and ${more} more ranges` : ""} (blocks of 4 KiB)`;
}
