/**
 * Reads a journal back: its superblock, and record by record what may be live.
 */
import type { JournalFile } from "../../drivers/journal-file/journal-file.ts";
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
  parseRecordHeader,
  RECORD_ENTRIES_MAX,
  RECORD_HEADER_BYTES,
  RECORD_KIND,
  REQUESTER_EPOCH_SHIFT,
  type RecordHeader,
  recordChecksumHolds,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_POSITIONS,
  type Superblock,
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

/** A record whose payload costs more to read than a system call of its own. */
const LARGE_RECORD_BYTES = 64 * 1024;
/** Header and entries of most records. */
const HEADER_PIECE_BYTES = 8 * 1024;

export class JournalReader {
  readonly #file: JournalFile;
  readonly #id: JournalId;
  readonly #bytes = Buffer.alloc(RECORD_HEADER_BYTES + RECORD_ENTRIES_MAX * ENTRY_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length / 4);
  /** What was read ahead: `#aheadBytes` from a position of the file. */
  #ahead: Buffer | undefined;
  #aheadPosition = 0;
  #aheadBytes = 0;
  /** How much of it is read at once: less where most of it would be stepped over. */
  #pieceBytes = 0;

  /** Only headers are read, and of the last record the payload. */
  stepsOverPayload = false;

  constructor(file: JournalFile, id: JournalId) {
    this.#file = file;
    this.#id = id;
  }

  /**
   * From now on the file is read in pieces of this size (0: no more), which reads near each other share. Only while
   * nothing is written to where is read.
   */
  readAhead(bytes: number): void {
    this.#ahead = bytes > 0 ? Buffer.allocUnsafeSlow(bytes) : undefined;
    this.#aheadBytes = 0;
    this.#pieceBytes = bytes;
  }

  /** Fills `target` from a position of the file; what is past its end reads as zeros. */
  read(position: number, target: Uint8Array): void {
    const at = this.#aheadAt(position, target.length);
    if (at >= 0) {
      // Not `set`: into shared memory, from where it happens to lie, that is several times slower.
      this.#ahead!.copy(target, 0, at, at + target.length);
      return;
    }
    const bytes = this.#file.read(position, target);
    if (bytes !== target.length) target.fill(0, bytes);
  }

  /** The bytes as they lie in what was read ahead, until the next read; undefined: they are not to be had there. */
  view(position: number, bytes: number): Uint8Array | undefined {
    const at = this.#aheadAt(position, bytes);
    return at < 0 ? undefined : this.#ahead!.subarray(at, at + bytes);
  }

  /** Where in what was read ahead the bytes are, read now if need be; −1: they are not to be had there. */
  #aheadAt(position: number, bytes: number): number {
    if (this.#ahead === undefined || bytes > this.#pieceBytes) return -1;
    if (position < this.#aheadPosition || position + bytes > this.#aheadPosition + this.#aheadBytes) {
      this.#aheadPosition = position;
      this.#aheadBytes = this.#file.read(position, this.#ahead.subarray(0, this.#pieceBytes));
    }
    return bytes <= this.#aheadBytes ? position - this.#aheadPosition : -1;
  }

  /** The next record will be as large as this one, most likely: where only headers are read, the payload is stepped over. */
  #foreseePieces(recordBytes: number): void {
    if (this.#ahead === undefined) return;
    const steps = this.stepsOverPayload && recordBytes >= LARGE_RECORD_BYTES;
    this.#pieceBytes = Math.min(this.#ahead.length, steps ? HEADER_PIECE_BYTES : this.#ahead.length);
  }

  /**
   * The record at a position if it is the one expected, whole.
   * @returns "wrap": the next record is at the start of the file; undefined: the journal ends here
   */
  readRecord(
    position: number,
    expected: Expected,
    blockIsWhole: (entry: RecoveredEntry) => boolean,
  ):
    | { readonly epoch: number; readonly syncedSequence: number; readonly record: RecoveredRecord; readonly bytes: number }
    | "wrap"
    | undefined {
    this.read(position, this.#bytes.subarray(0, RECORD_HEADER_BYTES));
    const header = parseRecordHeader(this.#words, this.#id);
    if (header === undefined || header.sequence !== expected.sequence) return undefined;
    if (header.epoch < expected.epochMin || header.epoch > expected.epochMax) return undefined;
    const bytes = recordBytes(header.entryCount, header.payloadFrames);
    this.#foreseePieces(bytes);
    if (bytes > expected.bytesMax) return undefined;
    // The whole of it at once, where it fits: what is read of it, and read again when it is applied, goes forth and back.
    this.#aheadAt(position, bytes);
    const headerBytes = recordBytes(header.entryCount, 0);
    this.read(position + RECORD_HEADER_BYTES, this.#bytes.subarray(RECORD_HEADER_BYTES, headerBytes));
    if (!recordChecksumHolds(this.#words, this.#bytes, header.entryCount)) return undefined;
    if (header.kind === RECORD_KIND.wrap) return "wrap";
    const entries = parseEntries(this.#words, header, position + headerBytes);
    for (const entry of entries) if (entry.kind === ENTRY_KIND.write && !blockIsWhole(entry)) return undefined;
    const { epoch, syncedSequence, sequence } = header;
    return { epoch, syncedSequence, record: { sequence, entries }, bytes };
  }
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
  return new JournalReader(file, journalIdWords(superblock.identity)).readRecord(position, expected, () => true) !== undefined;
}

function parseEntries(words: Uint32Array, header: RecordHeader, payloadPosition: number): RecoveredEntry[] {
  const entries: RecoveredEntry[] = [];
  let position = payloadPosition;
  for (let n = 0; n < header.entryCount; n++) {
    const at = RECORD_HEADER_BYTES / 4 + n * ENTRY_WORDS;
    const kind = words[at + ENTRY_WORD.kindAndMask]! & 0xff;
    entries.push({
      kind,
      mask: (words[at + ENTRY_WORD.kindAndMask]! >>> 8) & 0xff,
      volume: words[at + ENTRY_WORD.volume]!,
      block: words[at + ENTRY_WORD.block]!,
      count: words[at + ENTRY_WORD.count]!,
      crc: words[at + ENTRY_WORD.crc]!,
      nexus: words[at + ENTRY_WORD.nexus]!,
      request: words[at + ENTRY_WORD.request]!,
      requesterEpoch: words[at + ENTRY_WORD.kindAndMask]! >>> REQUESTER_EPOCH_SHIFT,
      payloadPosition: position,
    });
    if (kind === ENTRY_KIND.write) position += FRAME_BYTES;
  }
  return entries;
}
