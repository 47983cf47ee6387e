/**
 * The journal of one pool: what was acknowledged and is not yet on the drives.
 *
 * A circular file of records. Records are appended in order of sequence and trimmed from the oldest. All offsets are
 * logical (bytes since the journal was made); a record's place in the file is its offset modulo the data area.
 *
 *   durable tail ≤ tail ≤ … live records … ≤ head        head − durable tail ≤ data area
 *
 * Runs on: the owning director's thread (the file's fdatasync runs elsewhere).
 * Invariants:
 *  1. A record is complete in the kernel's page cache when `commit` returns: GOOD may follow.
 *  2. Space behind the tail is written again only after the superblock that names the new tail is durable.
 *  3. Sequence numbers rise by one from record to record; epochs never fall.
 *  4. `syncedSequence` only counts records whose fdatasync has returned.
 */
import type { JournalFile, JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import {
  decodeSuperblock,
  ENTRY_BYTES,
  ENTRY_KIND,
  ENTRY_WORD,
  ENTRY_WORDS,
  encodeSuperblock,
  type JournalId,
  journalIdWords,
  parseRecordHeader,
  RECORD_ENTRIES_MAX,
  RECORD_HEADER_BYTES,
  RECORD_KIND,
  type RecordHeader,
  recordChecksumHolds,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_POSITIONS,
  type Superblock,
  sealRecord,
} from "./record.ts";

/** Records start here; the superblocks lie before. */
export const JOURNAL_DATA_START = 8192;
/** Live records that the trim ring can name. */
const LIVE_RECORDS_MAX = 131_072;
/** A trim of this share of the data area is worth a superblock write and an fdatasync. */
const TRIM_SHARE = 1 / 16;

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
  /** Position of the frame in the file, for "write". */
  readonly payloadPosition: number;
}

export interface JournalOptions {
  readonly file: JournalFile;
  /** 32 hexadecimal digits. */
  readonly identity: string;
  readonly epoch: number;
  /** Called when the file has failed: nothing can be acknowledged any more. */
  readonly onFailure: (error: JournalFileError) => void;
  /** Called when space became free or a sync ended: work that waited may go on. */
  readonly onProgress: () => void;
}

export class Journal {
  readonly #file: JournalFile;
  readonly #identity: string;
  readonly #id: JournalId;
  readonly #epoch: number;
  readonly #options: JournalOptions;
  readonly #dataBytes: number;

  /** Header and entries of the record being built. */
  readonly #bytes = Buffer.alloc(RECORD_HEADER_BYTES + RECORD_ENTRIES_MAX * ENTRY_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length / 4);
  #entryCount = 0;
  readonly #buffers: Uint8Array[] = [];
  #payloadFrames = 0;

  #head = 0;
  #tail = 0;
  #durableTail = 0;
  #nextSequence = 1;
  #syncedSequence = 0;
  #syncRunning = false;
  readonly #syncWaiters: { sequence: number; done: (durable: boolean) => void }[] = [];
  #superblockCounter = 0;
  #superblockRunning = false;
  #trimWanted = false;
  #failed = false;

  // Ring of live records: sequence, epoch and offset of each, oldest at #ringTail.
  readonly #ringSequence = new Float64Array(LIVE_RECORDS_MAX);
  readonly #ringEpoch = new Uint32Array(LIVE_RECORDS_MAX);
  readonly #ringOffset = new Float64Array(LIVE_RECORDS_MAX);
  #ringHead = 0;
  #ringTail = 0;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#file = options.file;
    this.#identity = options.identity;
    this.#id = journalIdWords(options.identity);
    this.#epoch = options.epoch;
    this.#dataBytes = options.file.bytes - JOURNAL_DATA_START;
  }

  /** Makes a new, empty journal in the file: durable when done. */
  static async format(file: JournalFile, identity: string, ownerEpoch = 0): Promise<void> {
    const superblock: Superblock = {
      counter: 1,
      identity,
      tailOffset: 0,
      tailSequence: 1,
      tailEpoch: 0,
      ownerEpoch,
      syncedSequence: 0,
      fileBytes: file.bytes,
    };
    // The other slot is cleared first: a superblock that an earlier journal left there must not win.
    file.write(SUPERBLOCK_POSITIONS[(superblock.counter + 1) % 2]!, [Buffer.alloc(SUPERBLOCK_BYTES)]);
    file.write(SUPERBLOCK_POSITIONS[superblock.counter % 2]!, [encodeSuperblock(superblock)]);
    await synced(file);
  }

  /**
   * Makes the journal that of a new owner: durable when done. It comes before the drives hear of the new epoch, so a
   * journal whose owner is older than the drives know is a copy from before: records may be missing from it.
   * @param epochs.known - the last owner's epoch, as the drives have it
   * @throws JournalError when it is another journal, an older copy, or can't be read
   */
  static async claim(file: JournalFile, identity: string, epochs: { known: number; own: number }): Promise<void> {
    const superblock = newestSuperblock(file, identity);
    if (superblock.ownerEpoch < epochs.known) {
      throw new JournalError(
        "older",
        `the journal is an older copy: its last owner had epoch ${superblock.ownerEpoch}, the drives know epoch ${epochs.known}`,
      );
    }
    const counter = superblock.counter + 1;
    file.write(SUPERBLOCK_POSITIONS[counter % 2]!, [encodeSuperblock({ ...superblock, counter, ownerEpoch: epochs.own })]);
    await synced(file);
  }

  get capacityBytes(): number {
    return this.#dataBytes;
  }

  /** From the oldest record that is needed to the newest. */
  get liveBytes(): number {
    return this.#head - this.#tail;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get syncedSequence(): number {
    return this.#syncedSequence;
  }

  get failed(): boolean {
    return this.#failed;
  }

  get isEmpty(): boolean {
    return this.#ringHead === this.#ringTail;
  }

  /** Whether a record of this size can be written now. If not, space is asked for and `onProgress` tells. */
  fits(entryCount: number, payloadFrames: number): boolean {
    const bytes = RECORD_HEADER_BYTES + entryCount * ENTRY_BYTES + payloadFrames * FRAME_BYTES;
    const start = this.#head + this.#wrapBytes(bytes);
    if (start + bytes - this.#durableTail <= this.#dataBytes && this.#ringHead - this.#ringTail < LIVE_RECORDS_MAX) return true;
    this.#trimWanted = true;
    this.#writeSuperblockIfWorth();
    return false;
  }

  // — building and writing one record —

  get pendingEntries(): number {
    return this.#entryCount;
  }

  addWrite(entry: { volume: number; block: number; mask: number; crc: number; nexus: number; initiatorTaskTag: number }): void {
    const at = this.#nextEntry();
    const words = this.#words;
    words[at + ENTRY_WORD.kindAndMask] = ENTRY_KIND.write | (entry.mask << 8);
    words[at + ENTRY_WORD.volume] = entry.volume;
    words[at + ENTRY_WORD.block] = entry.block;
    words[at + ENTRY_WORD.count] = 1;
    words[at + ENTRY_WORD.crc] = entry.crc;
    words[at + ENTRY_WORD.nexus] = entry.nexus;
    words[at + ENTRY_WORD.initiatorTaskTag] = entry.initiatorTaskTag;
    words[at + 7] = 0;
    this.#payloadFrames += 1;
  }

  /** Payload of the write entries, in their order: any number of buffers, whole frames in sum. */
  addPayload(buffer: Uint8Array): void {
    this.#buffers.push(buffer);
  }

  addZero(entry: { volume: number; block: number; count: number; nexus: number; initiatorTaskTag: number }): void {
    const at = this.#nextEntry();
    const words = this.#words;
    words[at + ENTRY_WORD.kindAndMask] = ENTRY_KIND.zero;
    words[at + ENTRY_WORD.volume] = entry.volume;
    words[at + ENTRY_WORD.block] = entry.block;
    words[at + ENTRY_WORD.count] = entry.count;
    words[at + ENTRY_WORD.crc] = 0;
    words[at + ENTRY_WORD.nexus] = entry.nexus;
    words[at + ENTRY_WORD.initiatorTaskTag] = entry.initiatorTaskTag;
    words[at + 7] = 0;
  }

  /**
   * Writes the record that was built (it must fit); returns its sequence.
   * @throws JournalFileError when the file refuses: nothing of the record counts, and the journal has failed.
   */
  commit(): number {
    const sequence = this.#nextSequence;
    const headerBytes = RECORD_HEADER_BYTES + this.#entryCount * ENTRY_BYTES;
    const bytes = headerBytes + this.#payloadFrames * FRAME_BYTES;
    this.#wrapFor(bytes);
    sealRecord(this.#words, this.#bytes, this.#id, {
      sequence,
      epoch: this.#epoch,
      entryCount: this.#entryCount,
      payloadFrames: this.#payloadFrames,
      syncedSequence: this.#syncedSequence,
      kind: RECORD_KIND.data,
    });
    this.#buffers.unshift(this.#bytes.subarray(0, headerBytes));
    this.#writeFile(this.#positionOf(this.#head), this.#buffers);
    this.#remember(sequence, this.#epoch);
    this.#head += bytes;
    this.#nextSequence = sequence + 1;
    this.#entryCount = 0;
    this.#payloadFrames = 0;
    this.#buffers.length = 0;
    return sequence;
  }

  // — durability —

  /** Calls `done(true)` when every record up to `sequence` is durable, `done(false)` when the journal has failed. */
  whenSynced(sequence: number, done: (durable: boolean) => void): void {
    if (this.#failed || sequence <= this.#syncedSequence) {
      done(!this.#failed);
      return;
    }
    this.#syncWaiters.push({ sequence, done });
    this.#startSync();
  }

  #startSync(): void {
    if (this.#syncRunning || this.#failed) return;
    this.#syncRunning = true;
    const covered = this.#nextSequence - 1;
    this.#file.sync((error) => {
      this.#syncRunning = false;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      this.#syncedSequence = Math.max(this.#syncedSequence, covered);
      let kept = 0;
      const ready: ((durable: boolean) => void)[] = [];
      for (const waiter of this.#syncWaiters) {
        if (waiter.sequence <= this.#syncedSequence) ready.push(waiter.done);
        else this.#syncWaiters[kept++] = waiter;
      }
      this.#syncWaiters.length = kept;
      if (kept > 0) this.#startSync();
      for (const done of ready) done(true);
      this.#options.onProgress();
    });
  }

  // — trimming —

  /** Records below `sequence` are not needed any more: what they say is in the map, durably. */
  trim(sequence: number): void {
    while (this.#ringTail < this.#ringHead && this.#ringSequence[this.#ringTail % LIVE_RECORDS_MAX]! < sequence)
      this.#ringTail += 1;
    this.#tail = this.#ringTail === this.#ringHead ? this.#head : this.#ringOffset[this.#ringTail % LIVE_RECORDS_MAX]!;
    this.#writeSuperblockIfWorth();
  }

  #writeSuperblockIfWorth(): void {
    if (this.#superblockRunning || this.#failed || this.#tail === this.#durableTail) return;
    const worth = this.#tail - this.#durableTail >= this.#dataBytes * TRIM_SHARE;
    if (!worth && !this.#trimWanted && !this.isEmpty) return;
    this.#trimWanted = false;
    this.#superblockRunning = true;
    const tailOffset = this.#tail;
    this.#superblockCounter += 1;
    const superblock: Superblock = {
      counter: this.#superblockCounter,
      identity: this.#identity,
      tailOffset,
      tailSequence: this.isEmpty ? this.#nextSequence : this.#ringSequence[this.#ringTail % LIVE_RECORDS_MAX]!,
      tailEpoch: this.isEmpty ? this.#epoch : this.#ringEpoch[this.#ringTail % LIVE_RECORDS_MAX]!,
      ownerEpoch: this.#epoch,
      syncedSequence: this.#syncedSequence,
      fileBytes: this.#file.bytes,
    };
    this.#writeFile(SUPERBLOCK_POSITIONS[this.#superblockCounter % 2]!, [encodeSuperblock(superblock)]);
    this.#file.sync((error) => {
      this.#superblockRunning = false;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      this.#durableTail = tailOffset;
      this.#writeSuperblockIfWorth();
      this.#options.onProgress();
    });
  }

  // — recovery —

  /**
   * Reads the records that were live, oldest first, handing each to `apply` before it looks at the next. Afterwards
   * appends go on behind the last whole record.
   * @param blockIsWhole - reads the frame at a position of the file and compares its checksum
   * @throws JournalError when the file is another journal, of another version, or lost records that were durable
   */
  async recover(
    blockIsWhole: (entry: RecoveredEntry) => boolean,
    apply: (record: RecoveredRecord) => Promise<void>,
  ): Promise<{ records: number; bytes: number }> {
    const superblock = newestSuperblock(this.#file, this.#identity);
    this.#superblockCounter = superblock.counter;
    this.#tail = superblock.tailOffset;
    this.#durableTail = superblock.tailOffset;
    this.#head = superblock.tailOffset;
    this.#nextSequence = superblock.tailSequence;
    let records = 0;
    let epoch = superblock.tailEpoch;
    let syncedSequence = superblock.syncedSequence;
    for (;;) {
      const found = this.#readRecord(epoch, blockIsWhole);
      if (found === undefined) break;
      if (found === "wrap") continue;
      epoch = found.header.epoch;
      syncedSequence = Math.max(syncedSequence, found.header.syncedSequence);
      await apply(found.record);
      this.#remember(found.header.sequence, epoch);
      this.#head += found.bytes;
      this.#nextSequence = found.header.sequence + 1;
      records += 1;
    }
    if (syncedSequence >= this.#nextSequence) {
      throw new JournalError(
        "damaged",
        `the journal ends at record ${this.#nextSequence - 1}, but records up to ${syncedSequence} had been made durable: the file was damaged or replaced by an older copy`,
      );
    }
    return { records, bytes: this.#head - this.#tail };
  }

  /** Reads payload at a position of the file. */
  readPayload(position: number, target: Uint8Array): void {
    const bytes = this.#file.read(position, target);
    if (bytes !== target.length) target.fill(0, bytes);
  }

  #readRecord(
    epoch: number,
    blockIsWhole: (entry: RecoveredEntry) => boolean,
  ): { header: RecordHeader; record: RecoveredRecord; bytes: number } | "wrap" | undefined {
    const toEnd = this.#bytesToEnd();
    // Nothing was ever written across the end, and a tail end without room for a header is skipped in silence.
    if (toEnd < RECORD_HEADER_BYTES) {
      this.#head += toEnd;
      return "wrap";
    }
    const position = this.#positionOf(this.#head);
    this.readPayload(position, this.#bytes.subarray(0, RECORD_HEADER_BYTES));
    const header = parseRecordHeader(this.#words, this.#id);
    if (header === undefined || header.sequence !== this.#nextSequence) return undefined;
    if (header.epoch < epoch || header.epoch > this.#epoch) return undefined;
    const headerBytes = RECORD_HEADER_BYTES + header.entryCount * ENTRY_BYTES;
    const bytes = headerBytes + header.payloadFrames * FRAME_BYTES;
    if (bytes > toEnd || this.#head + bytes - this.#tail > this.#dataBytes) return undefined;
    this.readPayload(position + RECORD_HEADER_BYTES, this.#bytes.subarray(RECORD_HEADER_BYTES, headerBytes));
    if (!recordChecksumHolds(this.#words, this.#bytes, header.entryCount)) return undefined;
    if (header.kind === RECORD_KIND.wrap) {
      this.#head += toEnd;
      return "wrap";
    }
    const entries = this.#parseEntries(header, position + headerBytes);
    for (const entry of entries) if (entry.kind === ENTRY_KIND.write && !blockIsWhole(entry)) return undefined;
    return { header, record: { sequence: header.sequence, entries }, bytes };
  }

  #parseEntries(header: RecordHeader, payloadPosition: number): RecoveredEntry[] {
    const entries: RecoveredEntry[] = [];
    let position = payloadPosition;
    for (let n = 0; n < header.entryCount; n++) {
      const at = RECORD_HEADER_BYTES / 4 + n * ENTRY_WORDS;
      const kind = this.#words[at + ENTRY_WORD.kindAndMask]! & 0xff;
      entries.push({
        kind,
        mask: (this.#words[at + ENTRY_WORD.kindAndMask]! >>> 8) & 0xff,
        volume: this.#words[at + ENTRY_WORD.volume]!,
        block: this.#words[at + ENTRY_WORD.block]!,
        count: this.#words[at + ENTRY_WORD.count]!,
        crc: this.#words[at + ENTRY_WORD.crc]!,
        payloadPosition: position,
      });
      if (kind === ENTRY_KIND.write) position += FRAME_BYTES;
    }
    return entries;
  }

  #nextEntry(): number {
    if (this.#entryCount >= RECORD_ENTRIES_MAX) throw new Error("invariant: a journal record is over its entries");
    const at = RECORD_HEADER_BYTES / 4 + this.#entryCount * ENTRY_WORDS;
    this.#entryCount += 1;
    return at;
  }

  /** The record at the head is live. */
  #remember(sequence: number, epoch: number): void {
    const slot = this.#ringHead % LIVE_RECORDS_MAX;
    this.#ringSequence[slot] = sequence;
    this.#ringEpoch[slot] = epoch;
    this.#ringOffset[slot] = this.#head;
    this.#ringHead += 1;
    if (this.#ringHead - this.#ringTail > LIVE_RECORDS_MAX)
      throw new Error("invariant: more live journal records than the trim ring holds");
  }

  #positionOf(offset: number): number {
    return JOURNAL_DATA_START + (offset % this.#dataBytes);
  }

  #bytesToEnd(): number {
    return this.#dataBytes - (this.#head % this.#dataBytes);
  }

  /** Bytes lost at the end of the file when a record of `bytes` does not fit before it. */
  #wrapBytes(bytes: number): number {
    const toEnd = this.#bytesToEnd();
    return bytes <= toEnd ? 0 : toEnd;
  }

  #wrapFor(bytes: number): void {
    const skip = this.#wrapBytes(bytes);
    if (skip === 0) return;
    if (skip >= RECORD_HEADER_BYTES) {
      const wrap = Buffer.alloc(RECORD_HEADER_BYTES);
      const words = new Uint32Array(wrap.buffer, wrap.byteOffset, RECORD_HEADER_BYTES / 4);
      sealRecord(words, wrap, this.#id, {
        sequence: this.#nextSequence,
        epoch: this.#epoch,
        entryCount: 0,
        payloadFrames: 0,
        syncedSequence: this.#syncedSequence,
        kind: RECORD_KIND.wrap,
      });
      this.#writeFile(this.#positionOf(this.#head), [wrap]);
    }
    this.#head += skip;
  }

  #writeFile(position: number, buffers: readonly Uint8Array[]): void {
    try {
      this.#file.write(position, buffers);
    } catch (error) {
      this.#fail(error as JournalFileError);
      throw error;
    }
  }

  #fail(error: JournalFileError): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#options.onFailure(error);
    for (const waiter of this.#syncWaiters.splice(0)) waiter.done(false);
  }
}

function newestSuperblock(file: JournalFile, identity: string): Superblock {
  let best: Superblock | undefined;
  for (const position of SUPERBLOCK_POSITIONS) {
    const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
    file.read(position, bytes);
    const superblock = decodeSuperblock(bytes);
    if (superblock === "version") throw new JournalError("version", "the journal's format version is not known to this program");
    if (superblock !== undefined && (best === undefined || superblock.counter > best.counter)) best = superblock;
  }
  if (best === undefined) throw new JournalError("damaged", "neither of the journal's superblocks can be read");
  if (best.identity !== identity) {
    throw new JournalError("foreign", `this is journal ${best.identity}, the drives belong to journal ${identity}`);
  }
  if (best.fileBytes !== file.bytes) {
    throw new JournalError("damaged", `the journal has ${file.bytes} bytes, its superblock says ${best.fileBytes}`);
  }
  return best;
}

function synced(file: JournalFile): Promise<void> {
  return new Promise((resolve, reject) => file.sync((error) => (error === undefined ? resolve() : reject(error))));
}
