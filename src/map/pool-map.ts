/**
 * The map of one pool: volume block → place, with its log and checkpoints on the drives.
 *
 *   change ──▶ log record, durable on the map drives ──▶ applied to pages and zone table in memory
 *   now and then: dirty pages and the zone table are written (a checkpoint), and the log before it is deleted
 *
 * Runs on: the owning director's thread.
 * Invariants:
 *  1. Pages and zone table in memory are exactly the checkpoint plus the log: a change is applied after its record is
 *     durable, and in the order of the log (`exclusive` keeps changes apart).
 *  2. The log is deleted only up to a checkpoint that is durable.
 *  3. A change only touches pages that are in memory and pinned by who makes it.
 */
import type { Drive, MetadataOperation } from "../../drivers/drive/drive.ts";
import { keyAfter } from "../../drivers/drive/drive-checks.ts";
import { decodePlace, type GroupGeometry, isPlace, LOST_PLACE, NOT_MAPPED, slotOfPlace } from "../raid/geometry.ts";
import { LostBlocks } from "./lost-blocks.ts";
import {
  type Checkpoint,
  decodeCheckpoint,
  decodeLogRecord,
  encodeCheckpoint,
  encodeLogRecord,
  LOG_ENTRIES_MAX,
  LOG_RANGE,
  logKey,
  type MapChange,
  sequenceOfLogKey,
  ZONE_EVENT,
} from "./map-log.ts";
import { decodePage, encodePage, PAGE_BYTES, pageKey, pageOfKey, pageRange } from "./map-page.ts";
import { MapPages, PAGE_BLOCKS } from "./map-pages.ts";
import { decodeDocument, deleteRange, encodeDocument, type MetadataStore } from "./metadata-store.ts";
import { ZONE_STATE, ZoneTable } from "./zone-table.ts";

const CHECKPOINT_KEY = "checkpoint";
/** Log sequence of the newest checkpoint of which the drive has all pages: written to all before that checkpoint is to any. */
const PAGES_KEY = "checkpointPages";
const PAGES_RANGE = { from: "p/", below: "p0" } as const;
/** A checkpoint is due after so many entries: they are replayed at start. */
const LOG_ENTRIES_BEFORE_CHECKPOINT = 262_144;
/** A record takes as long at start as so many entries: many small ones must not make a start of many seconds. */
const RECORD_ENTRIES = 32;
/** Pages in one metadata batch: 100 × 4 KiB stays below the drives' bound. */
const PAGES_PER_BATCH = 100;
const LOADS_AT_ONCE = 64;

export class MapDamagedError extends Error {
  constructor(message: string) {
    super(message);
    this.name = "MapDamagedError";
  }
}

export class PoolMap {
  readonly zones: ZoneTable;
  readonly pages: MapPages;
  /** What is lost for good. Changed by the map's own changes only. */
  readonly lost = new LostBlocks();
  readonly #store: MetadataStore;
  readonly #geometry: GroupGeometry;
  readonly #reached: (site: string) => void;
  #mapped = new Map<number, number>();
  readonly #loads = new Map<string, Promise<void>>();
  #logSequence = 0;
  #checkpointSequence = 0;
  #entriesSinceCheckpoint = 0;
  #lock: Promise<unknown> = Promise.resolve();
  #checkpointing: Promise<void> | undefined;
  /** Pages on their way from one drive to another: none is written meanwhile. */
  #copying: Promise<void> = Promise.resolve();

  /** @param reached - PoolRuntime.reached */
  constructor(
    store: MetadataStore,
    geometry: GroupGeometry,
    pagesMax: number,
    reached: (site: string) => void = () => undefined,
  ) {
    this.#store = store;
    this.#geometry = geometry;
    this.#reached = reached;
    this.zones = new ZoneTable(geometry.zoneSlots);
    this.pages = new MapPages(pagesMax);
  }

  // — start —

  /** Writes the first checkpoint of a new pool. */
  async format(): Promise<void> {
    await this.#store.putMap([{ type: "put", key: CHECKPOINT_KEY, value: this.#encodeCheckpoint(0) }]);
  }

  /**
   * Reads checkpoint and log. Volumes must have been added to `pages` before.
   * @param onStale - positions whose copy is not of the newest checkpoint: their pages may be older than they say. When it
   *   resolves it is on record that they don't have the map, until it is copied to them
   * @throws MapDamagedError when neither copy is whole
   */
  async load(onStale: (positions: readonly number[]) => Promise<void> = () => Promise.resolve()): Promise<void> {
    await this.#loadCheckpoint(onStale);
    const records = await this.#loadLog();
    for (const [sequence, change] of records) {
      await this.#loadPagesOf(change);
      const unpin = await this.pinPages(change.volume, change.block, change.count);
      this.#apply(change);
      unpin();
      this.#logSequence = sequence;
      this.#entriesSinceCheckpoint += RECORD_ENTRIES + change.count;
      // Replay must not need more page memory than service does.
      if (!this.#isReadOnly && this.#checkpointIsDue()) await this.checkpoint();
    }
  }

  /**
   * The newest whole checkpoint. A crash may have left it on one drive only: the others have its pages, and say so. An older
   * copy of a drive, whose pages are older too, does not have the map.
   */
  async #loadCheckpoint(onStale: (positions: readonly number[]) => Promise<void>): Promise<void> {
    let best: { checkpoint: Checkpoint; value: Uint8Array } | undefined;
    const copies = await this.#store.mapCopiesAt(CHECKPOINT_KEY);
    for (const value of copies.values()) {
      const checkpoint = value === undefined ? undefined : decodeCheckpoint(value, this.#geometry.zoneSlots);
      if (checkpoint !== undefined && checkpoint.logSequence > (best?.checkpoint.logSequence ?? -1))
        best = { checkpoint, value: value! };
    }
    if (best === undefined) throw new MapDamagedError("no drive has a whole checkpoint of the map");
    const { zones, mapped, logSequence, lost } = best.checkpoint;
    this.zones.assign(zones);
    this.lost.assign(lost.counts, lost.ranges);
    this.#mapped = mapped;
    this.#checkpointSequence = logSequence;
    this.#logSequence = logSequence;
    const newest = best.value;
    const other = [...copies].filter(([, value]) => value === undefined || Buffer.compare(value, newest) !== 0);
    if (other.length > 0) {
      const pages = await this.#store.mapCopiesAt(PAGES_KEY);
      const stale = other.map(([position]) => position).filter((position) => sequenceOf(pages.get(position)) < logSequence);
      if (stale.length > 0) await onStale(stale);
    }
    if (this.#isReadOnly) return;
    await this.#store.putMap([{ type: "put", key: CHECKPOINT_KEY, value: newest }]);
    this.#reached("map.checkpointUnited");
    await this.#store.deleteMapRange({ from: LOG_RANGE.from, below: logKey(logSequence + 1) });
  }

  /** The log's records after the checkpoint: the union of what the copies have, each copy completed from the other. */
  async #loadLog(): Promise<Map<number, MapChange>> {
    const copies = await this.#store.scanMap(LOG_RANGE);
    const whole = new Map<number, { change: MapChange; value: Uint8Array }>();
    let last = this.#checkpointSequence;
    for (const entries of copies.values()) {
      for (const [key, value] of entries) {
        const sequence = sequenceOfLogKey(key);
        if (sequence <= this.#checkpointSequence) continue;
        last = Math.max(last, sequence);
        const change = decodeLogRecord(value, sequence);
        if (change !== undefined) whole.set(sequence, { change, value });
      }
    }
    const ordered = new Map<number, MapChange>();
    for (let sequence = this.#checkpointSequence + 1; sequence <= last; sequence++) {
      const record = whole.get(sequence);
      if (record === undefined)
        throw new MapDamagedError(`record ${sequence} of the map's log is on none of the drives that can be read`);
      ordered.set(sequence, record.change);
    }
    if (this.#isReadOnly) return ordered;
    const missing = new Map<Drive, MetadataOperation[]>();
    for (const [drive, entries] of copies) {
      const operations: MetadataOperation[] = [];
      for (const [sequence, { value }] of whole) {
        const key = logKey(sequence);
        const there = entries.get(key);
        if (there === undefined || Buffer.compare(there, value) !== 0) operations.push({ type: "put", key, value });
      }
      missing.set(drive, operations);
    }
    await this.#store.completeMap(missing);
    this.#reached("map.logUnited");
    return ordered;
  }

  async #loadPagesOf(change: MapChange): Promise<void> {
    const wanted = new Map<string, [number, number]>();
    for (let n = 0; n < change.count; n++) {
      const volume = change.volume[n]!;
      const page = change.block[n]! >>> 10;
      if (this.pages.hasVolume(volume) && !this.pages.isLoaded(volume, page)) wanted.set(pageKey(volume, page), [volume, page]);
    }
    const list = [...wanted.values()];
    for (let at = 0; at < list.length; at += LOADS_AT_ONCE) {
      await Promise.all(list.slice(at, at + LOADS_AT_ONCE).map(([volume, page]) => this.loadPage(volume, page)));
    }
  }

  // — lookup —

  /** Place of a block, NOT_MAPPED, LOST_PLACE, or PAGE_NOT_LOADED (then `loadPage` first). */
  lookup(volume: number, block: number): number {
    return this.pages.lookup(volume, block);
  }

  /**
   * Brings a page into memory; calls for one page share the read.
   * @throws MapDamagedError when no copy of the page is whole
   */
  loadPage(volume: number, page: number): Promise<void> {
    if (this.pages.isLoaded(volume, page)) return Promise.resolve();
    const key = pageKey(volume, page);
    const running = this.#loads.get(key);
    if (running !== undefined) return running;
    const load = this.#readPage(volume, page, key).finally(() => this.#loads.delete(key));
    this.#loads.set(key, load);
    return load;
  }

  /**
   * The first page in [page, below) that may have a mapped block; `below` when there is none. Where nothing is known it
   * asks the drives for the next page that they have, so that a range costs what is mapped of it, not what it promises.
   */
  async nextUsedPage(volume: number, page: number, below: number): Promise<number> {
    const unsure = this.pages.skipEmpty(volume, page, below);
    if (unsure >= below || this.pages.isLoaded(volume, unsure)) return unsure;
    // Before and after: a page may be written and evicted while the drives are asked.
    const inMemory = this.pages.nextInMemory(volume, unsure, below);
    const range = {
      from: pageKey(volume, unsure),
      below: inMemory < below ? pageKey(volume, inMemory) : pageRange(volume).below,
    };
    const stored = await this.#store.firstMapKey(range, PAGE_BYTES);
    return Math.min(
      below,
      inMemory,
      stored === undefined ? below : pageOfKey(stored),
      this.pages.nextInMemory(volume, unsure, below),
    );
  }

  async #readPage(volume: number, page: number, key: string): Promise<void> {
    while (!this.pages.hasRoom()) await this.#makeRoom();
    const copies = await this.#store.mapCopies(key);
    let best: { places: Uint32Array; logSequence: number } | undefined;
    for (const copy of copies) {
      const decoded = decodePage(copy, volume, page);
      if (decoded !== undefined && (best === undefined || decoded.logSequence > best.logSequence)) best = decoded;
    }
    if (best === undefined && copies.length > 0)
      throw new MapDamagedError(`map page ${key} is damaged on every drive that has it`);
    // Others were waiting for room too, and were served first.
    while (!this.pages.hasRoom()) await this.#makeRoom();
    this.pages.install(volume, page, best?.places);
  }

  // — change —

  /** Runs `work` while nobody else changes the map. */
  exclusive<T>(work: () => Promise<T>): Promise<T> {
    const run = this.#lock.then(work, work);
    this.#lock = run.catch(() => undefined);
    return run;
  }

  /** Makes a change durable and applies it. Call it inside `exclusive`, with the pages concerned loaded and pinned. */
  async commit(change: MapChange): Promise<void> {
    if (change.isEmpty) return;
    if (change.count > LOG_ENTRIES_MAX) throw new Error(`invariant: ${change.count} entries in one map change`);
    const sequence = this.#logSequence + 1;
    await this.#store.putMap([{ type: "put", key: logKey(sequence), value: encodeLogRecord(sequence, change) }]);
    this.#reached("map.logged");
    this.#logSequence = sequence;
    this.#entriesSinceCheckpoint += RECORD_ENTRIES + change.count + change.events.length;
    this.#apply(change);
    if (this.#checkpointIsDue()) void this.checkpoint().catch(() => undefined);
  }

  /**
   * Loads and pins all pages of a list of blocks; call the answer to unpin them. Pages that are known to be empty get
   * their memory here: when the change is made it is too late to make room. (Pins of all batches together, which the
   * staging regions bound, are a part of the pages that there is memory for.)
   */
  async pinPages(volumes: ArrayLike<number>, blocks: ArrayLike<number>, count: number): Promise<() => void> {
    const wanted = new Map<number, Set<number>>();
    for (let n = 0; n < count; n++) {
      const volume = volumes[n]!;
      if (!this.pages.hasVolume(volume)) continue;
      const pages = wanted.get(volume) ?? new Set<number>();
      pages.add(Math.floor(blocks[n]! / PAGE_BLOCKS));
      wanted.set(volume, pages);
    }
    const pinned: [number, number][] = [];
    const unpin = (): void => {
      for (const [volume, page] of pinned) this.pages.unpin(volume, page);
    };
    try {
      for (const [volume, pages] of wanted) {
        for (const page of pages) {
          // While room is made, a page may be forgotten again.
          for (;;) {
            if (!this.pages.isLoaded(volume, page)) await this.loadPage(volume, page);
            else if (this.pages.isKnownEmpty(volume, page) && !this.pages.hasRoom()) await this.#makeRoom();
            else break;
          }
          if (this.pages.pinWithMemory(volume, page)) pinned.push([volume, page]);
        }
      }
    } catch (error) {
      unpin();
      throw error;
    }
    return unpin;
  }

  #apply(change: MapChange): void {
    const { zones, pages } = this;
    for (const event of change.events) {
      if (event.kind === ZONE_EVENT.opened) {
        zones.zone[event.slot] = event.zone;
        zones.setState(event.slot, ZONE_STATE.open);
        zones.stripes[event.slot] = 0;
        zones.nextZone = Math.max(zones.nextZone, event.zone + 1);
      } else if (event.kind === ZONE_EVENT.sealed) {
        zones.setState(event.slot, ZONE_STATE.sealed);
        zones.stripes[event.slot] = event.stripes;
      } else if (event.kind === ZONE_EVENT.emptied) {
        zones.setState(event.slot, ZONE_STATE.emptied);
      } else {
        zones.setState(event.slot, ZONE_STATE.free);
        zones.zone[event.slot] = 0;
        zones.stripes[event.slot] = 0;
      }
    }
    for (let n = 0; n < change.count; n++) {
      const place = change.place[n]!;
      const old = change.old[n]!;
      if (isPlace(old)) zones.addLive(slotOfPlace(this.#geometry, old), -1);
      if (old === LOST_PLACE) this.lost.remove(change.volume[n]!, change.block[n]!);
      if (place === LOST_PLACE) this.lost.add(change.volume[n]!, change.block[n]!);
      if (isPlace(place)) {
        const { slot, stripe } = decodePlace(this.#geometry, place);
        zones.addLive(slot, 1);
        // For a zone that is still open when the array stops: how far it must be looked at.
        if (zones.state[slot] === ZONE_STATE.open && zones.stripes[slot]! <= stripe) zones.stripes[slot] = stripe + 1;
      }
      const volume = change.volume[n]!;
      const delta = (place === NOT_MAPPED ? 0 : 1) - (old === NOT_MAPPED ? 0 : 1);
      if (delta !== 0) this.#mapped.set(volume, (this.#mapped.get(volume) ?? 0) + delta);
      pages.set(volume, change.block[n]!, place);
    }
  }

  #checkpointIsDue(): boolean {
    return this.#entriesSinceCheckpoint >= LOG_ENTRIES_BEFORE_CHECKPOINT || this.pages.dirtyCount > this.pages.pagesMax / 2;
  }

  /** Where nothing is written, what the log has changed stays in memory: `openReadOnlyPool` makes that large enough. */
  #makeRoom(): Promise<void> {
    if (this.#isReadOnly)
      throw new MapDamagedError("what the map's log changes does not fit in memory, and nothing can be written");
    return this.checkpoint();
  }

  get #isReadOnly(): boolean {
    return this.#store.group.isReadOnly;
  }

  #encodeCheckpoint(logSequence: number): Uint8Array {
    return encodeCheckpoint({ logSequence, zones: this.zones, mapped: this.#mapped, lost: this.lost });
  }

  /** Writes dirty pages and the zone table, then deletes the log before them. Runs beside changes; one at a time. */
  checkpoint(): Promise<void> {
    this.#checkpointing ??= this.#copying
      .then(() => this.#writeCheckpoint())
      .finally(() => {
        this.#checkpointing = undefined;
      });
    return this.#checkpointing;
  }

  // — copies —

  /** The log is durable up to here. */
  get logSequence(): number {
    return this.#logSequence;
  }

  /**
   * Copies the map to a drive of the group that gets each change already, but has not what was before. Whole when it
   * resolves. A few hundred KiB are copied at a time, and no page is written meanwhile: an older one would follow it.
   * @param between - awaited between two pieces
   * @throws DriveError when the drive can't take it
   */
  async copyTo(drive: Drive, between: () => Promise<void>): Promise<void> {
    await drive.metadataBatch([CHECKPOINT_KEY, PAGES_KEY].map((key) => ({ type: "delete", key })));
    // Records that it has may be of a history that was given up. Those that come from now on are in the checkpoint below.
    await this.exclusive(() => deleteRange(drive, LOG_RANGE));
    await this.#aside(() => deleteRange(drive, PAGES_RANGE));
    let from: string = PAGES_RANGE.from;
    for (let more = true; more; ) {
      await this.#aside(async () => {
        const page = await this.#store.pageOfMap({ from, below: PAGES_RANGE.below }, drive);
        const operations: MetadataOperation[] = page.entries.map(([key, value]) => ({ type: "put", key, value }));
        if (operations.length > 0) await drive.metadataBatch(operations);
        const last = page.entries.at(-1);
        more = page.more && last !== undefined;
        if (last !== undefined) from = keyAfter(last[0]);
      });
      this.#reached("map.pageCopied");
      await between();
    }
    // The log before it is deleted, the log after it came to the drive: with this checkpoint it has all.
    while (this.#checkpointing !== undefined) await this.#checkpointing;
    await this.checkpoint();
  }

  /** Runs `work` while no checkpoint is written. */
  async #aside(work: () => Promise<void>): Promise<void> {
    while (this.#checkpointing !== undefined) await this.#checkpointing;
    const done = this.#copying.then(work);
    this.#copying = done.catch(() => undefined);
    await done;
  }

  async #writeCheckpoint(): Promise<void> {
    const sequence = this.#logSequence;
    const before = this.#checkpointSequence;
    const entries = this.#entriesSinceCheckpoint;
    const table = this.#encodeCheckpoint(sequence);
    const slots = this.pages.dirtySlots();
    for (let at = 0; at < slots.length; at += PAGES_PER_BATCH) {
      const batch = slots.slice(at, at + PAGES_PER_BATCH);
      const operations: MetadataOperation[] = [];
      const taken: number[] = [];
      for (const slot of batch) {
        const taking = this.pages.takeForWriting(slot);
        if (taking === undefined) continue;
        const { volume, page, places } = taking;
        taken.push(slot);
        operations.push({ type: "put", key: pageKey(volume, page), value: encodePage(volume, page, this.#logSequence, places) });
      }
      try {
        if (operations.length > 0) await this.#store.putMap(operations);
      } catch (error) {
        for (const slot of taken) this.pages.notWritten(slot);
        throw error;
      }
      this.#reached("map.pagesWritten");
      for (const slot of taken) this.pages.written(slot);
    }
    await this.#store.putMap([{ type: "put", key: PAGES_KEY, value: encodeDocument(sequence) }]);
    this.#reached("map.pagesComplete");
    await this.#store.putMap([{ type: "put", key: CHECKPOINT_KEY, value: table }]);
    this.#reached("map.checkpointWritten");
    this.#checkpointSequence = sequence;
    this.#entriesSinceCheckpoint -= entries;
    const operations: MetadataOperation[] = [];
    for (let old = before + 1; old <= sequence; old++) {
      operations.push({ type: "delete", key: logKey(old) });
      if (operations.length === 1000 || old === sequence) await this.#store.putMap(operations.splice(0));
    }
    this.#reached("map.logDeleted");
  }

  // — volumes —

  mappedBlocks(volume: number): number {
    return this.#mapped.get(volume) ?? 0;
  }

  /** Forgets a volume whose blocks have all been unmapped, on the drives too. */
  async dropVolume(volume: number): Promise<void> {
    await this.checkpoint();
    // A checkpoint holds slab slots that removing the volume would give to other pages.
    while (this.#checkpointing !== undefined) await this.#checkpointing;
    this.pages.removeVolume(volume);
    this.#mapped.delete(volume);
    await this.#aside(() => this.#store.deleteMapRange(pageRange(volume)));
    this.#reached("map.volumeDropped");
  }
}

/** What `PAGES_KEY` says; −1: nothing, or what is damaged. */
function sequenceOf(value: Uint8Array | undefined): number {
  const sequence = value === undefined ? undefined : decodeDocument(value);
  return typeof sequence === "number" ? sequence : -1;
}
