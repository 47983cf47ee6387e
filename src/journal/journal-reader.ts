/**
 * Reads a journal back: its superblock, and record by record what may be live.
 */
import type { JournalFile } from "../../drivers/journal-file/journal-file.ts";
import { joinedChecksum } from "../../drivers/shared-memory/checksum-arithmetic.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import {
  decodeSuperblock,
  ENTRY_BYTES,
  ENTRY_KIND,
  ENTRY_WORD,
  ENTRY_WORDS,
  JOURNAL_DATA_START,
  type JournalId,
  journalIdWords,
  RECORD_ENTRIES_MAX,
  RECORD_HEADER_BYTES,
  RECORD_KIND,
  REQUESTER_EPOCH_SHIFT,
  type RecordHeader,
  readRecordHeader,
  recordChecksumHolds,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_POSITIONS,
  type Superblock,
  sumWithRecord,
} from "./record.ts";
import { recordBytes } from "./record-builder.ts";

export class JournalError extends Error {
  readonly kind: "foreign" | "older" | "version" | "damaged";
  constructor(kind: JournalError["kind"], message: string) {
    super(message);
    this.name = "JournalError";
    this.kind = kind;
  }
}

export interface RecoveredRecord {
  readonly sequence: number;
  /** Of the owner that wrote it. */
  readonly epoch: number;
  readonly entries: readonly RecoveredEntry[];
}

export interface RecoveredEntry {
  readonly kind: number;
  readonly mask: number;
  readonly volume: number;
  readonly block: number;
  readonly count: number;
  readonly crc: number;
  readonly nexus: number;
  /** Of a request that came across the channel: its number and 16 bits of the requester's epoch; 0 for others. */
  readonly request: number;
  readonly requesterEpoch: number;
  /** Position of the frame in the file, for "write". */
  readonly payloadPosition: number;
}

/** A header with all the entries that it can have. */
export const READER_PIECE_BYTES_MIN = RECORD_HEADER_BYTES + RECORD_ENTRIES_MAX * ENTRY_BYTES;

/** Counter of the superblock that a journal is made with; its first owner raises it. */
export const FIRST_COUNTER = 1;

/** What a record must say to be the next live one. */
export interface Expected {
  readonly sequence: number;
  /** No older than the record before … */
  readonly epochMin: number;
  /** … and no newer than the owner that reads. */
  readonly epochMax: number;
  /** Up to the end of the file, and of what may be live. */
  readonly bytesMax: number;
}

/** Where a record was found, and what its header says. */
export interface FoundRecord {
  readonly position: number;
  readonly sequence: number;
  readonly epoch: number;
  readonly syncedSequence: number;
  readonly entryCount: number;
  readonly bytes: number;
  /** It holds nothing: the next record, of the same sequence, is at the start of the file. */
  readonly wraps: boolean;
}

/** From so large records on, only headers are read where nothing else is asked for: a call costs as much as a few blocks. */
const STEPPED_OVER_BYTES = 16 * 1024;
/** Header and entries of most records; of larger ones they are brought as they are asked for. */
const HEADER_PIECE_BYTES = 1024;

/**
 * Finds records and brings their payload, in pieces of the file: one system call and one checksum for many small records.
 *
 * Invariants:
 *  1. The piece holds `#bytes` of the file from `#from` on, as they were when they were read.
 *  2. A record is found only if header and entries are as they were sealed; and, unless `headersOnly`, each of its blocks.
 */
export class JournalReader {
  readonly #file: JournalFile;
  readonly #id: JournalId;
  readonly #piece: Buffer;
  readonly #words: Uint32Array;
  #from = 0;
  #bytes = 0;
  /** How much is read at once: as many whole records as the piece holds, if they are all of one size. */
  #most: number;
  readonly #header: RecordHeader = { sequence: 0, epoch: 0, entryCount: 0, payloadFrames: 0, syncedSequence: 0, kind: 0 };
  /** Stretch of the file whose records are proved already, and one that has something in it that is not as it should be. */
  readonly #proven = { from: 0, to: 0 };
  readonly #doubtful = { from: 0, to: 0 };
  readonly #entries: MutableEntry[] = [];
  readonly #record = { sequence: 0, epoch: 0, entries: [] as MutableEntry[] };

  /** Payload is stepped over and is not proved: `payloadHolds` does that. */
  headersOnly = false;

  /** @param piece - the reader's own as long as it is used; holds a header with all its entries at least */
  constructor(file: JournalFile, id: JournalId, piece: Buffer) {
    if (piece.length < READER_PIECE_BYTES_MIN) throw new RangeError(`invariant: a journal is read in pieces of ${piece.length}`);
    this.#file = file;
    this.#id = id;
    this.#piece = piece;
    this.#words = new Uint32Array(piece.buffer, piece.byteOffset, Math.floor(piece.length / 4));
    this.#most = piece.length;
  }

  /** From now on no more is read than what is asked for. */
  readNoFurther(): void {
    this.#most = 0;
  }

  /** The file was written to where it was read. */
  forget(): void {
    this.#bytes = 0;
    this.#proven.to = this.#proven.from;
    this.#doubtful.to = this.#doubtful.from;
  }

  /** Where in the piece so many bytes of the file are, brought there if need be, until the next is brought; −1: it has no such bytes. */
  bring(position: number, bytes: number): number {
    const at = position - this.#from;
    if (at >= 0 && at + bytes <= this.#bytes) return at;
    if (bytes > this.#piece.length) return -1;
    this.#from = position;
    this.#bytes = this.#file.read(position, this.#piece.subarray(0, Math.max(bytes, this.#most)));
    // Where only headers are read, the pages are in memory.
    if (!this.headersOnly && this.#most > 0) this.#file.readAhead?.(position + this.#bytes);
    return bytes <= this.#bytes ? 0 : -1;
  }

  /**
   * The record at a position if it is the one expected, whole.
   * @returns undefined: the journal ends here
   */
  find(position: number, expected: Expected): FoundRecord | undefined {
    const at = this.bring(position, RECORD_HEADER_BYTES);
    const header = this.#header;
    if (at < 0 || !readRecordHeader(this.#words, at / 4, this.#id, header) || header.sequence !== expected.sequence)
      return undefined;
    if (header.epoch < expected.epochMin || header.epoch > expected.epochMax) return undefined;
    const { sequence, epoch, syncedSequence, entryCount, kind } = header;
    const bytes = recordBytes(entryCount, header.payloadFrames);
    if (bytes > expected.bytesMax) return undefined;
    this.#foresee(bytes);
    const found = { position, sequence, epoch, syncedSequence, entryCount, bytes, wraps: kind === RECORD_KIND.wrap };
    return this.#isProven(found) || this.#prove(found, expected) ? found : undefined;
  }

  /** What the record says, until the next one is asked for. */
  entriesOf({ position, sequence, epoch, entryCount }: FoundRecord): RecoveredRecord {
    const at = this.#bringHeader(position, entryCount);
    if (at < 0) throw new JournalError("damaged", `the journal's file ends within record ${sequence}, which was there`);
    const record = this.#record;
    record.sequence = sequence;
    record.epoch = epoch;
    record.entries.length = entryCount;
    let payloadPosition = position + recordBytes(entryCount, 0);
    for (let n = 0; n < entryCount; n++) {
      this.#entries[n] ??= noEntry();
      const entry = this.#entries[n]!;
      readEntry(this.#words, (at + RECORD_HEADER_BYTES) / 4 + n * ENTRY_WORDS, entry);
      entry.payloadPosition = payloadPosition;
      record.entries[n] = entry;
      if (entry.kind === ENTRY_KIND.write) payloadPosition += FRAME_BYTES;
    }
    return record;
  }

  /** Whether all blocks of a record are what was written: in stretches as long as the piece. */
  payloadHolds({ entries }: RecoveredRecord): boolean {
    const writes = entries.filter(({ kind }) => kind === ENTRY_KIND.write);
    for (let n = 0; n < writes.length; ) {
      const { payloadPosition } = writes[n]!;
      const at = this.bring(payloadPosition, FRAME_BYTES);
      if (at < 0) return false;
      const count = Math.min(writes.length - n, Math.floor((this.#bytes - at) / FRAME_BYTES));
      let sum = 0;
      for (const { crc } of writes.slice(n, n + count)) sum = joinedChecksum(sum, crc, FRAME_BYTES);
      if (dataChecksum(this.#piece.subarray(at, at + count * FRAME_BYTES)) !== sum) return false;
      n += count;
    }
    return true;
  }

  /** The next record will be as large as this one, most likely. */
  #foresee(recordBytes: number): void {
    const { length } = this.#piece;
    if (this.headersOnly) this.#most = recordBytes >= STEPPED_OVER_BYTES ? HEADER_PIECE_BYTES : length;
    else this.#most = recordBytes > length ? length : length - (length % recordBytes);
  }

  #bringHeader(position: number, entryCount: number): number {
    return this.bring(position, recordBytes(entryCount, 0));
  }

  #isProven({ position, bytes }: FoundRecord): boolean {
    return position >= this.#proven.from && position + bytes <= this.#proven.to;
  }

  #prove(found: FoundRecord, expected: Expected): boolean {
    if (this.headersOnly) return this.#headerHolds(found);
    const { position } = found;
    const isDoubtful = position >= this.#doubtful.from && position < this.#doubtful.to;
    if (!isDoubtful && this.#proveRun(found, expected)) return true;
    return this.#headerHolds(found) && this.payloadHolds(this.entriesOf(found));
  }

  #headerHolds({ position, entryCount }: FoundRecord): boolean {
    const at = this.#bringHeader(position, entryCount);
    return at >= 0 && recordChecksumHolds(this.#words, at / 4, entryCount);
  }

  /**
   * Proves all records at once that begin here and lie in the piece as a whole: what they say that they sum to, added up,
   * against one sum of the bytes. It finds what a sum of each would find, but for a chance of one in 2³².
   */
  #proveRun({ position, bytes }: FoundRecord, expected: Expected): boolean {
    const from = this.bring(position, bytes);
    if (from < 0) return false;
    const header = this.#header;
    let { sequence, epochMin, bytesMax } = expected;
    let sum = 0;
    let to = from;
    while (this.#bytes - to >= RECORD_HEADER_BYTES && readRecordHeader(this.#words, to / 4, this.#id, header)) {
      const { entryCount, payloadFrames, epoch } = header;
      if (header.sequence !== sequence || epoch < epochMin || epoch > expected.epochMax || header.kind !== RECORD_KIND.data)
        break;
      const recordSize = recordBytes(entryCount, payloadFrames);
      if (recordSize > bytesMax || to + recordSize > this.#bytes) break;
      sum = this.#sumWithBlocks(sumWithRecord(sum, this.#words, to / 4, entryCount), to, entryCount);
      to += recordSize;
      bytesMax -= recordSize;
      sequence += 1;
      epochMin = epoch;
    }
    if (to === from) return false;
    const holds = dataChecksum(this.#piece.subarray(from, to)) === sum;
    const stretch = holds ? this.#proven : this.#doubtful;
    stretch.from = position;
    stretch.to = position + to - from;
    return holds;
  }

  /** Of the record at `at` of the piece: `sum`, and the blocks as its entries say. */
  #sumWithBlocks(sum: number, at: number, entryCount: number): number {
    const words = this.#words;
    const first = (at + RECORD_HEADER_BYTES) / 4;
    let joined = sum;
    for (let entry = first; entry < first + entryCount * ENTRY_WORDS; entry += ENTRY_WORDS) {
      if ((words[entry + ENTRY_WORD.kindAndMask]! & 0xff) !== ENTRY_KIND.write) continue;
      joined = joinedChecksum(joined, words[entry + ENTRY_WORD.crc]!, FRAME_BYTES);
    }
    return joined;
  }
}

type MutableEntry = { -readonly [key in keyof RecoveredEntry]: RecoveredEntry[key] };

function noEntry(): MutableEntry {
  return {
    kind: 0,
    mask: 0,
    volume: 0,
    block: 0,
    count: 0,
    crc: 0,
    nexus: 0,
    request: 0,
    requesterEpoch: 0,
    payloadPosition: 0,
  };
}

function readEntry(words: Uint32Array, at: number, entry: MutableEntry): void {
  const kindAndMask = words[at + ENTRY_WORD.kindAndMask]!;
  entry.kind = kindAndMask & 0xff;
  entry.mask = (kindAndMask >>> 8) & 0xff;
  entry.volume = words[at + ENTRY_WORD.volume]!;
  entry.block = words[at + ENTRY_WORD.block]!;
  entry.count = words[at + ENTRY_WORD.count]!;
  entry.crc = words[at + ENTRY_WORD.crc]!;
  entry.nexus = words[at + ENTRY_WORD.nexus]!;
  entry.request = words[at + ENTRY_WORD.request]!;
  entry.requesterEpoch = kindAndMask >>> REQUESTER_EPOCH_SHIFT;
}

/** @throws JournalError when there is none, or it is not of this journal */
export function newestSuperblock(file: JournalFile, identity: string): Superblock {
  const best = findSuperblock(file);
  if (best === undefined) throw new JournalError("damaged", "neither of the journal's superblocks can be read");
  if (best.identity !== identity) {
    throw new JournalError("foreign", `this is journal ${best.identity}, the drives belong to journal ${identity}`);
  }
  if (best.fileBytes !== file.bytes) {
    throw new JournalError("damaged", `the journal has ${file.bytes} bytes, its superblock says ${best.fileBytes}`);
  }
  return best;
}

/**
 * @param epochKnown - of the journal's last owner, as the drives have it
 * @throws JournalError when it is another journal, a copy from before that owner, or can't be read
 */
export function ownedSuperblock(file: JournalFile, identity: string, epochKnown: number): Superblock {
  const superblock = newestSuperblock(file, identity);
  if (superblock.ownerEpoch >= epochKnown) return superblock;
  throw new JournalError(
    "older",
    `the journal is an older copy: its last owner had epoch ${superblock.ownerEpoch}, the drives know epoch ${epochKnown}`,
  );
}

/** Whatever journal is in the file, if there is one. */
function findSuperblock(file: JournalFile): Superblock | undefined {
  let best: Superblock | undefined;
  for (const position of SUPERBLOCK_POSITIONS) {
    const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
    file.read(position, bytes);
    const superblock = decodeSuperblock(bytes);
    if (superblock === "version") throw new JournalError("version", "the journal's format version is not known to this program");
    if (superblock !== undefined && (best === undefined || superblock.counter > best.counter)) best = superblock;
  }
  return best;
}

/**
 * Before a journal is made in a file: it must not be one that others need.
 * @param identities - of the journal whose place this is, and of such before it: its own file may be made anew
 * @returns the head of the journal that is in the file
 * @throws JournalError "foreign" when another journal is in the file, but for one that was made and never used
 */
export function refuseForeignJournal(file: JournalFile, ...identities: readonly string[]): Superblock | undefined {
  const found = findSuperblock(file);
  if (found === undefined || identities.includes(found.identity)) return found;
  if (found.counter === FIRST_COUNTER && !hasRecord(file, found)) return found;
  throw new JournalError(
    "foreign",
    `journal ${found.identity} is in the file, and the drives belong to journal ${identities[0]}: it may be what another pool needs`,
  );
}

function hasRecord(file: JournalFile, superblock: Superblock): boolean {
  const expected = { sequence: superblock.tailSequence, epochMin: 0, epochMax: 2 ** 32, bytesMax: file.bytes };
  const position = JOURNAL_DATA_START + (superblock.tailOffset % (file.bytes - JOURNAL_DATA_START));
  const piece = Buffer.allocUnsafeSlow(READER_PIECE_BYTES_MIN);
  return new JournalReader(file, journalIdWords(superblock.identity), piece).find(position, expected) !== undefined;
}
