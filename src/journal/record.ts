/**
 * What a journal record and the superblock look like, word for word (32-bit little-endian words).
 *
 *   record     = header (64 bytes) · entries (32 bytes each) · payload (one 4096-byte frame for each "write" entry)
 *   superblock = 128 bytes at 0 and at 4096, written in turn; the valid one with the higher counter counts
 *
 * The header's checksum covers header and entries; each write entry has the checksum of its frame. So a record proves
 * itself whole, and a torn one is the end of the journal.
 */
import { checksumOfWords, joinedChecksum } from "../../drivers/shared-memory/checksum-arithmetic.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { dataCrc32c } from "../../drivers/shared-memory/data-crc32c.ts";

export const RECORD_HEADER_BYTES = 64;
export const ENTRY_BYTES = 32;
export const ENTRY_WORDS = ENTRY_BYTES / 4;
/** Entries of one record: a whole 4 MiB write, unaligned, fits. */
export const RECORD_ENTRIES_MAX = 1032;

const RECORD_MAGIC = 0x31524a56; // "VJR1"
const SUPERBLOCK_MAGIC = 0x31534a56; // "VJS1"

const RECORD_WORD = {
  magic: 0,
  headerCrc: 1,
  journalIdLow: 2,
  journalIdHigh: 3,
  sequenceLow: 4,
  sequenceHigh: 5,
  /** Epoch of the owner that wrote it: never falls along the journal. */
  epoch: 6,
  entryCount: 7,
  payloadFrames: 8,
  /** Highest sequence known durable when this was written. */
  syncedLow: 9,
  syncedHigh: 10,
  kind: 11,
} as const;

/** A "wrap" record fills the end of the file: the next record is at the start. */
export const RECORD_KIND = { data: 1, wrap: 2 } as const;

export const ENTRY_WORD = {
  /** Kind in the low byte, sector mask in the next, then 16 bits of the requester's epoch (0: no request across the channel). */
  kindAndMask: 0,
  volume: 1,
  block: 2,
  /** Blocks, for "zero". */
  count: 3,
  crc: 4,
  /** Who asked: I_T nexus and initiator task tag (invariant 9 of the architecture). */
  nexus: 5,
  initiatorTaskTag: 6,
  /** The requesting director's number of the request, which it never gives twice in one epoch; 0: the owner's own host. */
  request: 7,
} as const;
export const REQUESTER_EPOCH_SHIFT = 16;

export const ENTRY_KIND = { write: 1, zero: 2 } as const;

const TWO_32 = 2 ** 32;
const CRC_FROM = RECORD_WORD.journalIdLow * 4;
/** A header with up to 16 entries. */
const SUMMED_HERE_WORDS_MAX = (RECORD_HEADER_BYTES + 16 * ENTRY_BYTES) / 4;

export interface JournalId {
  readonly low: number;
  readonly high: number;
}

/** The first 16 digits of the journal's hexadecimal identity stand in each record. */
export function journalIdWords(identity: string): JournalId {
  return { high: Number.parseInt(identity.slice(0, 8), 16) >>> 0, low: Number.parseInt(identity.slice(8, 16), 16) >>> 0 };
}

export interface RecordHeader {
  sequence: number;
  epoch: number;
  entryCount: number;
  payloadFrames: number;
  syncedSequence: number;
  kind: number;
}

/** What the checksum of a record with so many entries covers. */
export function checkedPart(bytes: Uint8Array, entryCount: number): Uint8Array {
  return bytes.subarray(CRC_FROM, RECORD_HEADER_BYTES + entryCount * ENTRY_BYTES);
}

/** Fills in the header of a record whose entries are in place, checksum included. `checked` is its `checkedPart`. */
export function sealRecord(words: Uint32Array, checked: Uint8Array, id: JournalId, header: RecordHeader): void {
  words[RECORD_WORD.magic] = RECORD_MAGIC;
  words[RECORD_WORD.journalIdLow] = id.low;
  words[RECORD_WORD.journalIdHigh] = id.high;
  words[RECORD_WORD.sequenceLow] = header.sequence % TWO_32;
  words[RECORD_WORD.sequenceHigh] = Math.floor(header.sequence / TWO_32);
  words[RECORD_WORD.epoch] = header.epoch;
  words[RECORD_WORD.entryCount] = header.entryCount;
  words[RECORD_WORD.payloadFrames] = header.payloadFrames;
  words[RECORD_WORD.syncedLow] = header.syncedSequence % TWO_32;
  words[RECORD_WORD.syncedHigh] = Math.floor(header.syncedSequence / TWO_32);
  words[RECORD_WORD.kind] = header.kind;
  words.fill(0, RECORD_WORD.kind + 1, RECORD_HEADER_BYTES / 4);
  words[RECORD_WORD.headerCrc] = dataChecksum(checked);
}

/**
 * Reads the header at word `at` into `header`, if it is plausible; the checksum needs the entries and comes after.
 * @returns false: it is none, and `header` says nothing
 */
export function readRecordHeader(words: Uint32Array, at: number, id: JournalId, header: RecordHeader): boolean {
  if (words[at + RECORD_WORD.magic] !== RECORD_MAGIC) return false;
  if (words[at + RECORD_WORD.journalIdLow] !== id.low || words[at + RECORD_WORD.journalIdHigh] !== id.high) return false;
  header.sequence = words[at + RECORD_WORD.sequenceHigh]! * TWO_32 + words[at + RECORD_WORD.sequenceLow]!;
  header.epoch = words[at + RECORD_WORD.epoch]!;
  header.entryCount = words[at + RECORD_WORD.entryCount]!;
  header.payloadFrames = words[at + RECORD_WORD.payloadFrames]!;
  header.syncedSequence = words[at + RECORD_WORD.syncedHigh]! * TWO_32 + words[at + RECORD_WORD.syncedLow]!;
  header.kind = words[at + RECORD_WORD.kind]!;
  return header.entryCount <= RECORD_ENTRIES_MAX && header.payloadFrames <= header.entryCount;
}

/** Of the record whose header is at word `at`: header and entries are as they were sealed. */
export function recordChecksumHolds(words: Uint32Array, at: number, entryCount: number): boolean {
  const from = at + CRC_FROM / 4;
  const to = at + RECORD_HEADER_BYTES / 4 + entryCount * ENTRY_WORDS;
  // A native call is for what takes longer than the call itself.
  const sum =
    to - from <= SUMMED_HERE_WORDS_MAX
      ? checksumOfWords(words, from, to)
      : dataChecksum(Buffer.from(words.buffer, words.byteOffset + from * 4, (to - from) * 4));
  return words[at + RECORD_WORD.headerCrc] === sum;
}

/** The checksum of all that was read before, `sum`, and of header and entries as they say of themselves. */
export function sumWithRecord(sum: number, words: Uint32Array, at: number, entryCount: number): number {
  const upTo = checksumOfWords(words, at, at + CRC_FROM / 4, sum);
  return joinedChecksum(upTo, words[at + RECORD_WORD.headerCrc]!, RECORD_HEADER_BYTES - CRC_FROM + entryCount * ENTRY_BYTES);
}

export interface Superblock {
  /** Raised with each write. */
  readonly counter: number;
  /** 32 hexadecimal digits. */
  readonly identity: string;
  /** Where the oldest record that may be needed starts: bytes since the journal was made, position = modulo its size. */
  readonly tailOffset: number;
  readonly tailSequence: number;
  /**
   * No record from the tail on is of an older epoch. One that is there all the same lost its predecessors in a power
   * loss, and was never part of the history that went on without it.
   */
  readonly tailEpoch: number;
  /** Epoch of the owner that wrote this. The drives know the same one: an older copy of the journal is told by it. */
  readonly ownerEpoch: number;
  /** Everything below this sequence was durable when this was written. */
  readonly syncedSequence: number;
  readonly fileBytes: number;
  /** The map has what lies before the tail, from this record of its log on: one that ends before is an older copy. */
  readonly mapSequence: number;
}

export const SUPERBLOCK_BYTES = 128;
/** Records start here; the superblocks lie before. */
export const JOURNAL_DATA_START = 8192;
export const SUPERBLOCK_POSITIONS = [0, 4096] as const;
const JOURNAL_FORMAT_VERSION = 2;

export function encodeSuperblock(superblock: Superblock): Buffer {
  const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
  bytes.writeUInt32LE(SUPERBLOCK_MAGIC, 0);
  bytes.writeUInt32LE(JOURNAL_FORMAT_VERSION, 8);
  bytes.writeDoubleLE(superblock.counter, 16);
  bytes.write(superblock.identity, 24, 16, "hex");
  bytes.writeDoubleLE(superblock.tailOffset, 40);
  bytes.writeDoubleLE(superblock.tailSequence, 48);
  bytes.writeDoubleLE(superblock.syncedSequence, 56);
  bytes.writeDoubleLE(superblock.fileBytes, 64);
  bytes.writeDoubleLE(superblock.tailEpoch, 72);
  bytes.writeDoubleLE(superblock.ownerEpoch, 80);
  bytes.writeDoubleLE(superblock.mapSequence, 88);
  bytes.writeUInt32LE(dataChecksum(bytes.subarray(8)), 4);
  return bytes;
}

/** "version": it is one of ours in a format that this program does not know. */
export function decodeSuperblock(bytes: Buffer): Superblock | "version" | undefined {
  if (bytes.length < SUPERBLOCK_BYTES || bytes.readUInt32LE(0) !== SUPERBLOCK_MAGIC) return undefined;
  const version = bytes.readUInt32LE(8);
  const checked = bytes.subarray(8, SUPERBLOCK_BYTES);
  // Taken for nothing, a journal of version 1 would be made anew over what somebody needs.
  if (bytes.readUInt32LE(4) !== (version === 1 ? dataCrc32c(checked) : dataChecksum(checked))) return undefined;
  if (version !== JOURNAL_FORMAT_VERSION) return "version";
  return {
    counter: bytes.readDoubleLE(16),
    identity: bytes.toString("hex", 24, 40),
    tailOffset: bytes.readDoubleLE(40),
    tailSequence: bytes.readDoubleLE(48),
    syncedSequence: bytes.readDoubleLE(56),
    fileBytes: bytes.readDoubleLE(64),
    tailEpoch: bytes.readDoubleLE(72),
    ownerEpoch: bytes.readDoubleLE(80),
    // Zeros in one that was written before there was such a thing: nothing is known.
    mapSequence: bytes.readDoubleLE(88),
  };
}
