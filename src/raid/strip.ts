/**
 * What one strip's value holds, byte for byte.
 *
 *   ┌ blocks: blocksPerStrip × 4096 ┐┌ tags: blocksPerStrip × 32 ┐┌ header: 64 ┐
 *
 * Each block has a tag that says what it is: checksum, volume, block on the volume, and the zone it was written to,
 * which is its generation, because a zone number is never used twice. A parity strip's blocks and tags are computed of
 * the data strips' blocks and tags, so that a rebuilt strip proves itself by its own tags. The header belongs to the
 * strip alone and names its place and role; it is not part of the parity.
 *
 * Numbers are little-endian: everything here is written and read by this array only.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import type { Address, GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";

export const TAG_BYTES = 32;
export const STRIP_HEADER_BYTES = 64;
const STRIP_MAGIC = 0x31505356; // "VSP1"

/** Int32 word indexes in a tag. Words 4 … 7 are zero. */
const TAG_WORD = { crc: 0, volume: 1, block: 2, zone: 3 } as const;
/** Int32 word indexes in the header. Words after these are zero. */
const HEADER_WORD = { magic: 0, zone: 1, stripe: 2, position: 3, role: 4, tagsCrc: 5, dataCrc: 6, headerCrc: 7 } as const;

/** What the header's word says: 0 data, 1 P, 2 Q. Which column the data are follows from stripe and position. */
function headerRole(role: number): number {
  return role >= 0 ? 0 : -role;
}

/** Volume number 0 is never given out: a tag with it marks padding. */
export const PADDING_VOLUME = 0;

export interface StripShape {
  readonly blocksPerStrip: number;
  readonly dataBytes: number;
  readonly tagsAt: number;
  /** Blocks and tags: what parity covers. */
  readonly parityBytes: number;
  readonly headerAt: number;
  readonly stripBytes: number;
}

export function stripShape(blocksPerStrip: number): StripShape {
  const dataBytes = blocksPerStrip * FRAME_BYTES;
  const parityBytes = dataBytes + blocksPerStrip * TAG_BYTES;
  return {
    blocksPerStrip,
    dataBytes,
    tagsAt: dataBytes,
    parityBytes,
    headerAt: parityBytes,
    stripBytes: parityBytes + STRIP_HEADER_BYTES,
  };
}

export function tagAddress(strip: Address, shape: StripShape, index: number): Address {
  return strip + shape.tagsAt + index * TAG_BYTES;
}

/** What a tag must say for a block to be the one that was asked for. */
export interface BlockIdentity {
  volume: number;
  block: number;
  zone: number;
}

export function writeTag(
  global: GlobalMemory,
  strip: Address,
  shape: StripShape,
  index: number,
  crc: number,
  identity: BlockIdentity,
): void {
  const word = tagAddress(strip, shape, index) >> 2;
  const { i32 } = global;
  i32[word + TAG_WORD.crc] = crc;
  i32[word + TAG_WORD.volume] = identity.volume;
  i32[word + TAG_WORD.block] = identity.block;
  i32[word + TAG_WORD.zone] = identity.zone;
  i32[word + 4] = 0;
  i32[word + 5] = 0;
  i32[word + 6] = 0;
  i32[word + 7] = 0;
}

export function readTag(global: GlobalMemory, strip: Address, shape: StripShape, index: number): BlockIdentity & { crc: number } {
  const word = tagAddress(strip, shape, index) >> 2;
  const { i32 } = global;
  return {
    crc: i32[word + TAG_WORD.crc]! >>> 0,
    volume: i32[word + TAG_WORD.volume]! >>> 0,
    block: i32[word + TAG_WORD.block]! >>> 0,
    zone: i32[word + TAG_WORD.zone]! >>> 0,
  };
}

/** Invariant 3 of the architecture: the block is what the map expects, and whole. */
export function blockMatches(
  global: GlobalMemory,
  strip: Address,
  shape: StripShape,
  index: number,
  expected: BlockIdentity,
): boolean {
  const word = tagAddress(strip, shape, index) >> 2;
  const { i32 } = global;
  return (
    i32[word + TAG_WORD.volume]! >>> 0 === expected.volume &&
    i32[word + TAG_WORD.block]! >>> 0 === expected.block &&
    i32[word + TAG_WORD.zone]! >>> 0 === expected.zone &&
    i32[word + TAG_WORD.crc]! >>> 0 === dataChecksum(global.view(strip + index * FRAME_BYTES, FRAME_BYTES))
  );
}

/** The same of a block that lies apart from its strip, whose checksum was computed where it was read. */
export function tagMatches(global: GlobalMemory, tag: Address, crc: number, expected: BlockIdentity): boolean {
  const word = tag >> 2;
  const { i32 } = global;
  return (
    i32[word + TAG_WORD.volume]! >>> 0 === expected.volume &&
    i32[word + TAG_WORD.block]! >>> 0 === expected.block &&
    i32[word + TAG_WORD.zone]! >>> 0 === expected.zone &&
    i32[word + TAG_WORD.crc]! >>> 0 === crc
  );
}

/** Every block of the data strip is what was written. */
export function stripProves(global: GlobalMemory, strip: Address, shape: StripShape, zone: number): boolean {
  for (let index = 0; index < shape.blocksPerStrip; index++)
    if (blockProof(global, strip, shape, index, zone) !== "good") return false;
  return true;
}

/**
 * A data strip put together of what several sources of it have: each block from one that proves it. A block of which only
 * the tag is had keeps that, so that it is known what can't be read; zeros (padding, as tags go) where there is not even one.
 */
export class BlockMerge {
  readonly #global: GlobalMemory;
  readonly #strip: Address;
  readonly #shape: StripShape;
  readonly #zone: number;
  readonly #proofs: BlockProof[];

  constructor(global: GlobalMemory, strip: Address, shape: StripShape, zone: number) {
    this.#global = global;
    this.#strip = strip;
    this.#shape = shape;
    this.#zone = zone;
    this.#proofs = new Array<BlockProof>(shape.blocksPerStrip).fill("none");
    global.kernels.fill(strip, 0, shape.stripBytes);
  }

  /** Takes what another source has more of. */
  add(source: Address): void {
    const { kernels } = this.#global;
    for (let index = 0; index < this.#proofs.length; index++) {
      if (this.#proofs[index] === "good") continue;
      const proof = blockProof(this.#global, source, this.#shape, index, this.#zone);
      if (proof === "none" || proof === this.#proofs[index]) continue;
      this.#proofs[index] = proof;
      kernels.copy(this.#strip + index * FRAME_BYTES, source + index * FRAME_BYTES, FRAME_BYTES);
      kernels.copy(tagAddress(this.#strip, this.#shape, index), tagAddress(source, this.#shape, index), TAG_BYTES);
    }
  }

  get isWhole(): boolean {
    return this.#proofs.every((proof) => proof === "good");
  }

  /** The blocks that no source proved. */
  get missing(): number[] {
    return this.#proofs.flatMap((proof, index) => (proof === "good" ? [] : [index]));
  }
}

/** See blockProof. */
type BlockProof = "good" | "named" | "none";

/**
 * What a block says of itself, without what a map would expect of it. good: it is of this zone and whole, or was written
 * as one that can't be read (destage and compaction give that the complement of its checksum). named: only its tag is of
 * this zone.
 */
export function blockProof(global: GlobalMemory, strip: Address, shape: StripShape, index: number, zone: number): BlockProof {
  const tag = readTag(global, strip, shape, index);
  if (tag.zone !== zone) return "none";
  const block = strip + index * FRAME_BYTES;
  if (tag.volume === PADDING_VOLUME) return tag.crc === 0 && global.kernels.isZero(block, FRAME_BYTES) ? "good" : "named";
  const crc = dataChecksum(global.view(block, FRAME_BYTES));
  return tag.crc === crc || tag.crc === unreadableChecksum(crc) ? "good" : "named";
}

/** A checksum that content with this one does not have: what can't be read is written with it. */
export function unreadableChecksum(crc: number): number {
  return ~crc >>> 0;
}

export interface StripPlace {
  readonly zone: number;
  readonly stripe: number;
  /** Drive position in the RAID group; of several copies the first one's. */
  readonly position: number;
  /** Column, or ROLE_P, or ROLE_Q (raid-level.ts). */
  readonly role: number;
}

export function writeStripHeader(global: GlobalMemory, strip: Address, shape: StripShape, place: StripPlace): void {
  const { i32 } = global;
  const word = (strip + shape.headerAt) >> 2;
  for (let n = 0; n < STRIP_HEADER_BYTES / 4; n++) i32[word + n] = 0;
  i32[word + HEADER_WORD.magic] = STRIP_MAGIC;
  i32[word + HEADER_WORD.zone] = place.zone;
  i32[word + HEADER_WORD.stripe] = place.stripe;
  i32[word + HEADER_WORD.position] = place.position;
  i32[word + HEADER_WORD.role] = headerRole(place.role);
  i32[word + HEADER_WORD.tagsCrc] = global.kernels.crc32c(strip + shape.tagsAt, shape.parityBytes - shape.tagsAt);
  // A data block is covered by its tag; parity has no tags of its own that could cover it.
  if (place.role < 0) i32[word + HEADER_WORD.dataCrc] = dataChecksum(global.view(strip, shape.dataBytes));
  i32[word + HEADER_WORD.headerCrc] = global.kernels.crc32c(strip + shape.headerAt, HEADER_WORD.headerCrc * 4);
}

/** The strip is the one that belongs to this place; a parity strip is whole, a data strip's tags are. */
export function stripIsSound(global: GlobalMemory, strip: Address, shape: StripShape, place: StripPlace): boolean {
  const { i32 } = global;
  const word = (strip + shape.headerAt) >> 2;
  if (i32[word + HEADER_WORD.magic] !== STRIP_MAGIC) return false;
  if (i32[word + HEADER_WORD.headerCrc]! >>> 0 !== global.kernels.crc32c(strip + shape.headerAt, HEADER_WORD.headerCrc * 4) >>> 0)
    return false;
  if (i32[word + HEADER_WORD.zone]! >>> 0 !== place.zone || i32[word + HEADER_WORD.stripe]! >>> 0 !== place.stripe) return false;
  if (i32[word + HEADER_WORD.position] !== place.position || i32[word + HEADER_WORD.role] !== headerRole(place.role))
    return false;
  const tagsCrc = global.kernels.crc32c(strip + shape.tagsAt, shape.parityBytes - shape.tagsAt) >>> 0;
  if (i32[word + HEADER_WORD.tagsCrc]! >>> 0 !== tagsCrc) return false;
  return place.role >= 0 || i32[word + HEADER_WORD.dataCrc]! >>> 0 === dataChecksum(global.view(strip, shape.dataBytes));
}
