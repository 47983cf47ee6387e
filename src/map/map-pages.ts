/**
 * Map pages in memory: for 1,024 neighbouring blocks of a volume, the place of each on the drives.
 *
 * Pages are loaded when a block of theirs is first needed and stay in a slab of bounded size; clean, unpinned ones
 * make room by second chance. A page that was never written needs no memory: it is known to be empty.
 *
 * Runs on: the owning director's thread. Owns: the slab.
 * Invariants:
 *  1. A dirty or pinned page is never evicted.
 *  2. A page in memory is at least as new as on the drives.
 */
import { dataCrc32c } from "../../drivers/shared-memory/data-crc32c.ts";
import { NOT_MAPPED } from "../raid/geometry.ts";

export const PAGE_BLOCKS = 1024;
const PAGE_HEADER_WORDS = 8;
const PAGE_MAGIC = 0x31504d56; // "VMP1"
const SEGMENT_PAGES = 256;

/** What `pageSlots` says of a page that is not in the slab. */
const NOT_LOADED = -1;
const KNOWN_EMPTY = -2;

/** Answer of `lookup` when the page must be loaded first. */
export const PAGE_NOT_LOADED = -1;

interface VolumePages {
  readonly volume: number;
  slots: Int32Array;
}

export class MapPages {
  readonly #pagesMax: number;
  readonly #segments: Uint32Array[] = [];
  readonly #volumeOf: Uint32Array;
  readonly #pageOf: Uint32Array;
  readonly #used: Uint8Array;
  readonly #dirty: Uint8Array;
  readonly #pins: Uint32Array;
  readonly #referenced: Uint8Array;
  readonly #volumes = new Map<number, VolumePages>();
  #slotCount = 0;
  readonly #freeSlots: number[] = [];
  #hand = 0;
  #dirtyCount = 0;

  constructor(pagesMax: number) {
    this.#pagesMax = pagesMax;
    this.#volumeOf = new Uint32Array(pagesMax);
    this.#pageOf = new Uint32Array(pagesMax);
    this.#used = new Uint8Array(pagesMax);
    this.#dirty = new Uint8Array(pagesMax);
    this.#pins = new Uint32Array(pagesMax);
    this.#referenced = new Uint8Array(pagesMax);
  }

  get pagesMax(): number {
    return this.#pagesMax;
  }

  get dirtyCount(): number {
    return this.#dirtyCount;
  }

  /** @param empty - no page of the volume was ever written: nothing need be loaded */
  addVolume(volume: number, blockCount: number, empty: boolean): void {
    const slots = new Int32Array(Math.ceil(blockCount / PAGE_BLOCKS)).fill(empty ? KNOWN_EMPTY : NOT_LOADED);
    this.#volumes.set(volume, { volume, slots });
  }

  growVolume(volume: number, blockCount: number): void {
    const pages = this.#pages(volume);
    const slots = new Int32Array(Math.ceil(blockCount / PAGE_BLOCKS)).fill(KNOWN_EMPTY);
    slots.set(pages.slots);
    pages.slots = slots;
  }

  removeVolume(volume: number): void {
    const pages = this.#volumes.get(volume);
    if (pages === undefined) return;
    for (const slot of pages.slots) if (slot >= 0) this.#release(slot);
    this.#volumes.delete(volume);
  }

  hasVolume(volume: number): boolean {
    return this.#volumes.has(volume);
  }

  pageCount(volume: number): number {
    return this.#pages(volume).slots.length;
  }

  /** Place of the block, NOT_MAPPED, or PAGE_NOT_LOADED. */
  lookup(volume: number, block: number): number {
    const pages = this.#volumes.get(volume);
    if (pages === undefined) return NOT_MAPPED;
    const slot = pages.slots[block >>> 10];
    if (slot === undefined || slot === KNOWN_EMPTY) return NOT_MAPPED;
    if (slot === NOT_LOADED) return PAGE_NOT_LOADED;
    this.#referenced[slot] = 1;
    return this.#segments[slot >>> 8]![((slot & 255) << 10) | (block & 1023)]!;
  }

  isLoaded(volume: number, page: number): boolean {
    return this.#volumes.get(volume)?.slots[page] !== NOT_LOADED;
  }

  isKnownEmpty(volume: number, page: number): boolean {
    return this.#volumes.get(volume)?.slots[page] === KNOWN_EMPTY;
  }

  /** Sets a block's place; the page must be loaded. Makes the page dirty. */
  set(volume: number, block: number, place: number): void {
    const pages = this.#volumes.get(volume);
    if (pages === undefined) return;
    const page = block >>> 10;
    let slot = pages.slots[page]!;
    if (slot === NOT_LOADED) throw new Error(`invariant: map page ${volume}/${page} changed before it was loaded`);
    if (slot === KNOWN_EMPTY) {
      if (place === NOT_MAPPED) return;
      slot = this.#allocate(volume, page);
      pages.slots[page] = slot;
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
    const pages = this.#volumes.get(volume);
    if (pages === undefined || pages.slots[page] !== NOT_LOADED) return;
    if (places === undefined) {
      pages.slots[page] = KNOWN_EMPTY;
      return;
    }
    const slot = this.#allocate(volume, page);
    pages.slots[page] = slot;
    this.#placesAt(slot).set(places);
  }

  /** Keeps a page in memory until `unpin`; an empty one gets memory (there must be room). False: there is no such page. */
  pinWithMemory(volume: number, page: number): boolean {
    const pages = this.#volumes.get(volume);
    const known = pages?.slots[page];
    if (pages === undefined || known === undefined || known === NOT_LOADED) return false;
    const slot = known === KNOWN_EMPTY ? this.#allocate(volume, page) : known;
    pages.slots[page] = slot;
    this.#pins[slot]! += 1;
    return true;
  }

  unpin(volume: number, page: number): void {
    const slot = this.#volumes.get(volume)?.slots[page];
    if (slot !== undefined && slot >= 0 && this.#pins[slot]! > 0) this.#pins[slot]! -= 1;
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
  takeForWriting(slot: number, logSequence: number): { key: string; value: Uint8Array } | undefined {
    if (this.#used[slot] === 0 || this.#dirty[slot] === 0) return undefined;
    this.#dirty[slot] = 0;
    this.#dirtyCount -= 1;
    this.#pins[slot]! += 1;
    const volume = this.#volumeOf[slot]!;
    const page = this.#pageOf[slot]!;
    return { key: pageKey(volume, page), value: encodePage(volume, page, logSequence, this.#placesAt(slot)) };
  }

  written(slot: number): void {
    if (this.#pins[slot]! > 0) this.#pins[slot]! -= 1;
  }

  /** Whether a page can be loaded now without evicting a dirty or pinned one. */
  hasRoom(): boolean {
    return this.#slotCount < this.#pagesMax || this.#freeSlots.length > 0 || this.#findVictim() >= 0;
  }

  #pages(volume: number): VolumePages {
    const pages = this.#volumes.get(volume);
    if (pages === undefined) throw new Error(`invariant: no map for volume ${volume}`);
    return pages;
  }

  #placesAt(slot: number): Uint32Array {
    const at = (slot & (SEGMENT_PAGES - 1)) * PAGE_BLOCKS;
    return this.#segments[slot >>> 8]!.subarray(at, at + PAGE_BLOCKS);
  }

  #allocate(volume: number, page: number): number {
    let slot = this.#freeSlots.pop();
    if (slot === undefined && this.#slotCount < this.#pagesMax) {
      slot = this.#slotCount++;
      if (slot >>> 8 === this.#segments.length) this.#segments.push(new Uint32Array(SEGMENT_PAGES * PAGE_BLOCKS));
    }
    if (slot === undefined) {
      slot = this.#findVictim();
      if (slot < 0) throw new Error("invariant: every map page is dirty or pinned");
      this.#volumes.get(this.#volumeOf[slot]!)!.slots[this.#pageOf[slot]!] = NOT_LOADED;
    }
    this.#volumeOf[slot] = volume;
    this.#pageOf[slot] = page;
    this.#used[slot] = 1;
    this.#dirty[slot] = 0;
    this.#pins[slot] = 0;
    this.#referenced[slot] = 1;
    this.#placesAt(slot).fill(NOT_MAPPED);
    return slot;
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

  #release(slot: number): void {
    if (this.#dirty[slot] === 1) this.#dirtyCount -= 1;
    this.#used[slot] = 0;
    this.#dirty[slot] = 0;
    this.#pins[slot] = 0;
    this.#freeSlots.push(slot);
  }
}

export function pageKey(volume: number, page: number): string {
  return `p/${volume.toString(16).padStart(8, "0")}/${page.toString(16).padStart(8, "0")}`;
}

/** All pages of one volume. */
export function pageRange(volume: number): { from: string; below: string } {
  const prefix = `p/${volume.toString(16).padStart(8, "0")}`;
  return { from: `${prefix}/`, below: `${prefix}0` };
}

export function encodePage(volume: number, page: number, logSequence: number, places: Uint32Array): Uint8Array {
  const words = new Uint32Array(PAGE_HEADER_WORDS + PAGE_BLOCKS);
  words[0] = PAGE_MAGIC;
  words[2] = volume;
  words[3] = page;
  words[4] = logSequence % 2 ** 32;
  words[5] = Math.floor(logSequence / 2 ** 32);
  words.set(places, PAGE_HEADER_WORDS);
  const bytes = new Uint8Array(words.buffer);
  words[1] = dataCrc32c(bytes.subarray(8));
  return bytes;
}

/** The page, or undefined when the bytes are not that page whole. */
export function decodePage(
  value: Uint8Array,
  volume: number,
  page: number,
): { readonly places: Uint32Array; readonly logSequence: number } | undefined {
  if (value.length !== (PAGE_HEADER_WORDS + PAGE_BLOCKS) * 4) return undefined;
  const words = new Uint32Array(new Uint8Array(value).buffer);
  if (words[0] !== PAGE_MAGIC || words[1] !== dataCrc32c(new Uint8Array(words.buffer).subarray(8))) return undefined;
  if (words[2] !== volume || words[3] !== page) return undefined;
  return { places: words.subarray(PAGE_HEADER_WORDS), logSequence: words[4]! + words[5]! * 2 ** 32 };
}
