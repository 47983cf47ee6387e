/**
 * Map pages in memory: for 1,024 neighbouring blocks of a volume, the place of each on the drives.
 *
 * Pages are loaded when a block of theirs is first needed and stay in a slab of bounded size; clean, unpinned ones
 * make room by second chance. A page that was looked for and is not on the drives is known to be empty: it takes an
 * entry without memory, and the oldest of those are forgotten for new ones. So a volume costs memory for what was lately
 * used of it, whatever it promises.
 *
 *   entry:  0 … pagesMax − 1 pages with memory (slots)   │   pagesMax … known to be empty
 *
 * Runs on: the owning director's thread. Owns: the slab.
 * Invariants:
 *  1. A dirty or pinned page is never evicted.
 *  2. A page in memory is at least as new as on the drives.
 *  3. An empty page that was just found so is known as such while fewer than EMPTY_PAGES_MIN others are found: more loads
 *     than the back end has under way at one time, so whoever waited for it finds it.
 */
import { BlockIndex } from "../cache/block-index.ts";
import { NOT_MAPPED } from "../raid/geometry.ts";
import { TouchedPages } from "./touched-pages.ts";

export const PAGE_BLOCKS = 1024;
const SEGMENT_PAGES = 256;
const EMPTY_PAGES_MIN = 2048;

/** Answer of `lookup` when the page must be loaded first. */
export const PAGE_NOT_LOADED = -1;

/** What `#find` says where there is no entry. */
const NOT_LOADED = -1;
const NEVER_TOUCHED = -2;

interface VolumePages {
  readonly touched: TouchedPages;
  pageCount: number;
}

/** A page as it goes to the drives. `places` is the slab's own memory. */
export interface PageToWrite {
  readonly volume: number;
  readonly page: number;
  readonly places: Uint32Array;
}

export class MapPages {
  readonly pagesMax: number;
  readonly #emptyMax: number;
  readonly #segments: Uint32Array[] = [];
  /** Of each entry. */
  readonly #volumeOf: Uint32Array;
  readonly #pageOf: Uint32Array;
  readonly #used: Uint8Array;
  readonly #index: BlockIndex;
  /** Of each slot. */
  readonly #dirty: Uint8Array;
  readonly #pins: Uint32Array;
  readonly #referenced: Uint8Array;
  readonly #volumes = new Map<number, VolumePages>();
  #slotCount = 0;
  readonly #freeSlots: number[] = [];
  #hand = 0;
  #emptyHand = 0;
  #dirtyCount = 0;

  constructor(pagesMax: number) {
    this.pagesMax = pagesMax;
    this.#emptyMax = Math.max(pagesMax, EMPTY_PAGES_MIN);
    const entryCount = pagesMax + this.#emptyMax;
    this.#volumeOf = new Uint32Array(entryCount);
    this.#pageOf = new Uint32Array(entryCount);
    this.#used = new Uint8Array(entryCount);
    this.#index = new BlockIndex(entryCount, { volume: this.#volumeOf, block: this.#pageOf });
    this.#dirty = new Uint8Array(pagesMax);
    this.#pins = new Uint32Array(pagesMax);
    this.#referenced = new Uint8Array(pagesMax);
  }

  get dirtyCount(): number {
    return this.#dirtyCount;
  }

  /** Pages of all volumes that something is known of: the memory that the map takes is in proportion to it, and bounded. */
  get entryCount(): number {
    return this.#index.size;
  }

  /** @param empty - no page of the volume was ever written: nothing need be loaded */
  addVolume(volume: number, blockCount: number, empty: boolean): void {
    const pageCount = Math.ceil(blockCount / PAGE_BLOCKS);
    this.#volumes.set(volume, { touched: new TouchedPages(pageCount, !empty), pageCount });
  }

  growVolume(volume: number, blockCount: number): void {
    const pages = this.#volumes.get(volume);
    if (pages === undefined) throw new Error(`invariant: no map for volume ${volume}`);
    pages.pageCount = Math.ceil(blockCount / PAGE_BLOCKS);
    pages.touched.resize(pages.pageCount);
  }

  removeVolume(volume: number): void {
    if (!this.#volumes.delete(volume)) return;
    for (let entry = 0; entry < this.#used.length; entry++) {
      if (this.#used[entry] === 1 && this.#volumeOf[entry] === volume) this.#forget(entry);
    }
  }

  hasVolume(volume: number): boolean {
    return this.#volumes.has(volume);
  }

  /** Place of the block, NOT_MAPPED, LOST_PLACE, or PAGE_NOT_LOADED. */
  lookup(volume: number, block: number): number {
    const entry = this.#find(volume, block >>> 10);
    if (entry >= this.pagesMax || entry === NEVER_TOUCHED) return NOT_MAPPED;
    if (entry === NOT_LOADED) return PAGE_NOT_LOADED;
    this.#referenced[entry] = 1;
    return this.#segments[entry >>> 8]![((entry & 255) << 10) | (block & 1023)]!;
  }

  /** True as well of what is no page of a volume: nothing can be loaded of it. */
  isLoaded(volume: number, page: number): boolean {
    return this.#find(volume, page) !== NOT_LOADED;
  }

  isKnownEmpty(volume: number, page: number): boolean {
    if (!this.#isPage(volume, page)) return false;
    const entry = this.#find(volume, page);
    return entry >= this.pagesMax || entry === NEVER_TOUCHED;
  }

  /** The first page in [page, below) that is not known to be empty; `below` when there is none. */
  skipEmpty(volume: number, page: number, below: number): number {
    const touched = this.#volumes.get(volume)?.touched;
    if (touched === undefined) return below;
    let at = page;
    while (at < below) {
      if (!touched.has(at)) at = touched.nextPart(at);
      else if (this.#index.find(volume, at) >= this.pagesMax) at += 1;
      else return at;
    }
    return below;
  }

  /** The first page in [page, below) that has memory; `below` when there is none. Looks at the whole slab. */
  nextInMemory(volume: number, page: number, below: number): number {
    let next = below;
    for (let slot = 0; slot < this.#slotCount; slot++) {
      if (this.#used[slot] === 0 || this.#volumeOf[slot] !== volume) continue;
      const at = this.#pageOf[slot]!;
      if (at >= page && at < next) next = at;
    }
    return next;
  }

  /** Sets a block's place; the page must be loaded. Makes the page dirty. */
  set(volume: number, block: number, place: number): void {
    if (!this.#volumes.has(volume)) return;
    const page = block >>> 10;
    let slot = this.#find(volume, page);
    if (slot === NOT_LOADED) throw new Error(`invariant: map page ${volume}/${page} changed before it was loaded`);
    if (slot >= this.pagesMax || slot === NEVER_TOUCHED) {
      if (place === NOT_MAPPED) return;
      slot = this.#allocate(volume, page);
    }
    this.#segments[slot >>> 8]![((slot & 255) << 10) | (block & 1023)] = place;
    this.#referenced[slot] = 1;
    if (this.#dirty[slot] === 0) {
      this.#dirty[slot] = 1;
      this.#dirtyCount += 1;
    }
  }

  /** Takes in what was read from the drives; `undefined`: there is no such page, so nothing of it is mapped. */
  install(volume: number, page: number, places: Uint32Array | undefined): void {
    if (!this.#isPage(volume, page) || this.#find(volume, page) !== NOT_LOADED) return;
    if (places === undefined) this.#addEmpty(volume, page);
    else this.#placesAt(this.#allocate(volume, page)).set(places);
  }

  /** Keeps a page in memory until `unpin`; an empty one gets memory (there must be room). False: there is no such page. */
  pinWithMemory(volume: number, page: number): boolean {
    if (!this.#isPage(volume, page)) return false;
    const entry = this.#find(volume, page);
    if (entry === NOT_LOADED) return false;
    const slot = entry >= 0 && entry < this.pagesMax ? entry : this.#allocate(volume, page);
    this.#pins[slot]! += 1;
    return true;
  }

  unpin(volume: number, page: number): void {
    const slot = this.#index.find(volume, page);
    if (slot >= 0 && slot < this.pagesMax && this.#pins[slot]! > 0) this.#pins[slot]! -= 1;
  }

  /** Slots of all dirty pages. */
  dirtySlots(): number[] {
    const slots: number[] = [];
    for (let slot = 0; slot < this.#slotCount; slot++) if (this.#dirty[slot] === 1) slots.push(slot);
    return slots;
  }

  /**
   * The page in a slot as it goes to the drives. From here on it counts as clean, and is pinned until `written`:
   * evicted earlier, it would be loaded from the drives in its old form.
   */
  takeForWriting(slot: number): PageToWrite | undefined {
    if (this.#used[slot] === 0 || this.#dirty[slot] === 0) return undefined;
    this.#dirty[slot] = 0;
    this.#dirtyCount -= 1;
    this.#pins[slot]! += 1;
    return { volume: this.#volumeOf[slot]!, page: this.#pageOf[slot]!, places: this.#placesAt(slot) };
  }

  written(slot: number): void {
    if (this.#pins[slot]! > 0) this.#pins[slot]! -= 1;
  }

  /** It is not on the drives: it is taken again. */
  notWritten(slot: number): void {
    this.written(slot);
    if (this.#used[slot] === 0 || this.#dirty[slot] === 1) return;
    this.#dirty[slot] = 1;
    this.#dirtyCount += 1;
  }

  /** Whether a page can be loaded now without evicting a dirty or pinned one. */
  hasRoom(): boolean {
    return this.#slotCount < this.pagesMax || this.#freeSlots.length > 0 || this.#findVictim() >= 0;
  }

  #isPage(volume: number, page: number): boolean {
    const pages = this.#volumes.get(volume);
    return pages !== undefined && page < pages.pageCount;
  }

  /** The page's entry, NOT_LOADED, or NEVER_TOUCHED (which is what it is of a volume that is not there, or beyond its end). */
  #find(volume: number, page: number): number {
    const pages = this.#volumes.get(volume);
    if (pages === undefined || page >= pages.pageCount || !pages.touched.has(page)) return NEVER_TOUCHED;
    return this.#index.find(volume, page);
  }

  #placesAt(slot: number): Uint32Array {
    const at = (slot & (SEGMENT_PAGES - 1)) * PAGE_BLOCKS;
    return this.#segments[slot >>> 8]!.subarray(at, at + PAGE_BLOCKS);
  }

  /** Memory for a page: a free slot, one that was never used, or that of a victim. */
  #allocate(volume: number, page: number): number {
    let slot = this.#freeSlots.pop();
    if (slot === undefined && this.#slotCount < this.pagesMax) {
      slot = this.#slotCount++;
      if (slot >>> 8 === this.#segments.length) this.#segments.push(new Uint32Array(SEGMENT_PAGES * PAGE_BLOCKS));
    }
    if (slot === undefined) {
      slot = this.#findVictim();
      if (slot < 0) throw new Error("invariant: every map page is dirty or pinned");
      this.#index.remove(slot);
    }
    const empty = this.#index.find(volume, page);
    if (empty >= 0) this.#forget(empty);
    this.#volumes.get(volume)!.touched.add(page);
    this.#enter(slot, volume, page);
    this.#dirty[slot] = 0;
    this.#pins[slot] = 0;
    this.#referenced[slot] = 1;
    this.#placesAt(slot).fill(NOT_MAPPED);
    return slot;
  }

  /** First in, first out: forgetting that a page is empty costs a question to the drives, no more. */
  #addEmpty(volume: number, page: number): void {
    const entry = this.pagesMax + this.#emptyHand;
    this.#emptyHand = (this.#emptyHand + 1) % this.#emptyMax;
    if (this.#used[entry] === 1) this.#index.remove(entry);
    this.#enter(entry, volume, page);
  }

  #enter(entry: number, volume: number, page: number): void {
    this.#volumeOf[entry] = volume;
    this.#pageOf[entry] = page;
    this.#used[entry] = 1;
    this.#index.insert(entry);
  }

  #findVictim(): number {
    for (let looked = 0; looked < this.#slotCount * 2; looked++) {
      const slot = this.#hand;
      this.#hand = (this.#hand + 1) % this.#slotCount;
      if (this.#used[slot] === 0 || this.#dirty[slot] === 1 || this.#pins[slot]! > 0) continue;
      if (this.#referenced[slot] === 1) this.#referenced[slot] = 0;
      else return slot;
    }
    return -1;
  }

  #forget(entry: number): void {
    this.#index.remove(entry);
    this.#used[entry] = 0;
    if (entry >= this.pagesMax) return;
    if (this.#dirty[entry] === 1) this.#dirtyCount -= 1;
    this.#dirty[entry] = 0;
    this.#pins[entry] = 0;
    this.#freeSlots.push(entry);
  }
}
