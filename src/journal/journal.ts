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
 *  3. Sequence numbers rise by one from record to record; epochs never fall, neither in records nor in the head.
 *  4. `syncedSequence` only counts records whose fdatasync has returned.
 *  5. What recovery found in the page cache is written anew before a sync counts for it: a sync that failed under an earlier
 *     process may have left pages that are read as they were written, are not on the disk, and that no later sync covers.
 *     (One that failed in this process is known to have: the file is failed for ever.)
 *  6. A superblock that moves the tail is written only when every record is durable that was written before the trim: what
 *     was trimmed may be superseded by nothing but one of those.
 *  7. Where the file finds no room, what it had counts. A record that did not fit ends the journal, as what it was to hold is
 *     in memory by then: it is opened anew. A superblock that did not is written again, in its place.
 */
import { type JournalFile, JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import {
  type Expected,
  FIRST_COUNTER,
  type FoundRecord,
  JournalError,
  JournalReader,
  newestSuperblock,
  ownedSuperblock,
  READER_PIECE_BYTES_MIN,
  type RecoveredRecord,
} from "./journal-reader.ts";
import { LiveRecords } from "./live-records.ts";
import {
  checkedPart,
  encodeSuperblock,
  JOURNAL_DATA_START,
  type JournalId,
  journalIdWords,
  RECORD_HEADER_BYTES,
  RECORD_KIND,
  SUPERBLOCK_BYTES,
  SUPERBLOCK_POSITIONS,
  type Superblock,
  sealRecord,
} from "./record.ts";
import { RecordBuilder, recordBytes } from "./record-builder.ts";

/** A trim of this share of the data area is worth a superblock write and an fdatasync. */
const TRIM_SHARE = 1 / 16;

/** A live record, and where it begins. */
interface LiveRecord {
  readonly found: FoundRecord;
  readonly offset: number;
}

/** Room is looked for by writing so much behind the head; after it was missing, this share of the data area. */
const PROBE_BYTES = 1024 * 1024;
const PROBE_SHARE = 1 / 16;

/** What is in the file is written anew, or to a mirror's copy, in slices of this size. */
const COPY_SLICE_BYTES = 1024 * 1024;

export interface Recovery {
  /** What is read of the file lies here, piece by piece, until recovery ends. */
  readonly piece: Buffer;
  /** Takes a record over; what it waits for is waited for. The record is the caller's until then. */
  readonly apply: (record: RecoveredRecord) => Promise<void> | undefined;
  /** No page of the file was lost since its records were written: only the last of them can be in part. */
  readonly pagesKept?: boolean;
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
  /** PoolRuntime.reached. */
  readonly reached?: (site: string) => void;
}

export class Journal {
  readonly #file: JournalFile;
  readonly #identity: string;
  readonly #id: JournalId;
  readonly #epoch: number;
  readonly #options: JournalOptions;
  readonly #reached: (site: string) => void;
  readonly #dataBytes: number;

  /** The record being built: entries and payload are added to it, `commit` writes it. */
  readonly record = new RecordBuilder();
  /** Since recovery began. */
  #reader: JournalReader | undefined;
  readonly #live: LiveRecords;

  #head = 0;
  #tail = 0;
  #durableTail = 0;
  #nextSequence = 1;
  #syncedSequence = 0;
  #syncRunning = false;
  readonly #syncWaiters: { sequence: number; done: (durable: boolean) => void }[] = [];
  /** While it is recovered: epoch of the last record that was read, and what was once durable as the journal says. */
  #recoveringEpoch: number | undefined;
  #recoveredSynced = 0;
  /** End of what recovery has read so far of an earlier process's records, and up to where that is sure to be written when a sync ends (invariant 5). */
  #recoveredEnd = 0;
  #rewritten = 0;
  /** The record that is being applied: it is in the file, though `#nextSequence` is not past it yet. */
  #applying = 0;
  #superblockCounter = 0;
  /** As `trim` was told, here or by an owner before. */
  #mapSequence = 0;
  #superblockRunning = false;
  #trimWanted = false;
  #hasRoom = true;
  #failed = false;

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#reached = options.reached ?? (() => undefined);
    this.#file = options.file;
    this.#identity = options.identity;
    this.#id = journalIdWords(options.identity);
    this.#epoch = options.epoch;
    this.#dataBytes = options.file.bytes - JOURNAL_DATA_START;
    this.#live = new LiveRecords(this.#dataBytes);
  }

  /** Makes a new, empty journal in the file: durable when done. */
  static async format(file: JournalFile, identity: string, ownerEpoch = 0): Promise<void> {
    const superblock: Superblock = {
      counter: FIRST_COUNTER,
      identity,
      tailOffset: 0,
      tailSequence: 1,
      tailEpoch: 0,
      ownerEpoch,
      syncedSequence: 0,
      fileBytes: file.bytes,
      mapSequence: 0,
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
   * @param epochs.own - above any that the journal has had
   * @param head - of several copies: the newest one's head, with the highest counter of all
   * @throws JournalError when it is another journal, an older copy, or can't be read
   */
  static async claim(
    file: JournalFile,
    identity: string,
    epochs: { readonly known: number; readonly own: number },
    head?: Superblock,
  ): Promise<void> {
    const found = ownedSuperblock(file, identity, epochs.known);
    if (epochs.own <= found.ownerEpoch) {
      throw new RangeError(`journal: epoch ${epochs.own} comes after ${found.ownerEpoch}`);
    }
    const claimed = { ...(head ?? found), ownerEpoch: epochs.own };
    const counter = claimed.counter + 1;
    // Where the head goes that counts as the last of all copies the newest of this one may be: torn, it would leave an older one.
    const first = (counter - found.counter) % 2 === 0 ? counter - 1 : counter;
    for (let next = first; next <= counter; next++) {
      file.write(SUPERBLOCK_POSITIONS[next % 2]!, [encodeSuperblock({ ...claimed, counter: next })]);
      await synced(file);
    }
  }

  get capacityBytes(): number {
    return this.#dataBytes;
  }

  /** From the oldest record that is needed to the newest. */
  get liveBytes(): number {
    return this.#head - this.#tail;
  }

  /** How full it is, 0 to 1: in bytes, or in records where they are small. */
  get fullness(): number {
    return this.liveBytes / this.#dataBytes;
  }

  get nextSequence(): number {
    return this.#nextSequence;
  }

  get syncedSequence(): number {
    return this.#syncedSequence;
  }

  /** Of the last record that was read by recovery: what is in memory of one of those may have parts of any of them. */
  get recoveredSequence(): number {
    return this.#applying;
  }

  get failed(): boolean {
    return this.#failed;
  }

  get isEmpty(): boolean {
    return this.#live.isEmpty;
  }

  /** What is only in the page cache may not be acknowledged now: wait for the sync (a mirror's copy was just lost). */
  get held(): boolean {
    return this.#file.mirror?.held === true;
  }

  /** Calls once the journal is not `held`, at once where it is not now. */
  whenReleased(go: () => void): void {
    const { mirror } = this.#file;
    if (mirror === undefined) go();
    else mirror.whenRecorded(go);
  }

  /** False: the disk had no room for what was written last. Nothing fits until `findRoom` says otherwise. */
  get hasRoom(): boolean {
    return this.#hasRoom;
  }

  /** No sync begins: the disk had no room for what has to be written anew before (invariant 5). */
  get lacksRoomToSync(): boolean {
    return !this.#hasRoom && this.#unsureFrom() < this.#recoveredEnd;
  }

  /** Whether the disk has room for what comes next: tried behind the head, with zeros, which no reader takes for a record. */
  findRoom(): boolean {
    if (this.#failed) return false;
    const wanted = this.#hasRoom ? PROBE_BYTES : Math.max(PROBE_BYTES, this.#dataBytes * PROBE_SHARE);
    const free = Math.min(wanted, this.#dataBytes - (this.#head - this.#durableTail));
    try {
      for (let done = 0; done < free; ) {
        const offset = this.#head + done;
        const bytes = Math.min(PROBE_BYTES, free - done, this.#dataBytes - (offset % this.#dataBytes));
        this.#writeFile(this.#positionOf(offset), [Buffer.alloc(bytes)]);
        done += bytes;
      }
    } catch (error) {
      // Any other failure is told by `onFailure`.
      if (!(error instanceof JournalFileError)) throw error;
      this.#hasRoom = false;
      return false;
    }
    this.#hasRoom = true;
    if (this.#syncWaiters.length > 0) this.#startSync();
    this.#writeSuperblockIfWorth();
    if (this.#hasRoom) this.#options.onProgress();
    return this.#hasRoom;
  }

  /** Whether a record of this size can be written now. If not, space is asked for and `onProgress` tells. */
  fits(entryCount: number, payloadFrames: number): boolean {
    if (!this.#hasRoom) return false;
    const bytes = recordBytes(entryCount, payloadFrames);
    const start = this.#head + this.#wrapBytes(bytes);
    if (start + bytes - this.#durableTail <= this.#dataBytes) return true;
    this.#trimWanted = true;
    this.#writeSuperblockIfWorth();
    return false;
  }

  /**
   * Writes the record that was built (it must fit); returns its sequence.
   * @throws JournalFileError when the file refuses: nothing of the record counts, and the journal has failed.
   */
  commit(): number {
    // By the superblock, or by a sync, since `fits` was asked.
    if (this.#failed) throw new JournalFileError("io", "the journal has failed");
    const sequence = this.#nextSequence;
    const { bytes } = this.record;
    try {
      this.#wrapFor(bytes);
      const buffers = this.record.seal(this.#id, sequence, this.#epoch, this.#syncedSequence);
      this.#writeFile(this.#positionOf(this.#head), buffers);
    } catch (error) {
      if (error instanceof JournalFileError) this.#fail(error);
      throw error;
    }
    this.#reached("journal.written");
    this.#live.push(sequence, this.#epoch, this.#head);
    this.#head += bytes;
    this.#nextSequence = sequence + 1;
    this.record.clear();
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

  /** Resolves when every record up to `sequence` is durable; rejects when the journal has failed. */
  synced(sequence: number): Promise<void> {
    return new Promise((resolve, reject) => {
      this.whenSynced(sequence, (durable) =>
        durable ? resolve() : reject(new JournalFileError("io", "the journal has failed")),
      );
    });
  }

  /** The file has another owner from now on: nothing more is written to it, and what an fdatasync still ends concerns nobody. */
  letGo(): void {
    this.#failed = true;
    for (const waiter of this.#syncWaiters.splice(0)) waiter.done(false);
  }

  #startSync(): void {
    if (this.#syncRunning || this.#failed) return;
    // Mostly nothing: `mend` has done it before the pool serves.
    while (this.#rewriteSlice());
    // Without room for that, no sync would count: whoever waits is served once `findRoom` has found some.
    if (this.#failed || this.#unsureFrom() < this.#recoveredEnd) return;
    this.#syncRunning = true;
    // Destage may have to make room for the rest of a record that is being recovered, and wait for its own first blocks.
    const covered = Math.max(this.#nextSequence - 1, this.#applying);
    this.#syncFile((error) => {
      this.#syncRunning = false;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      this.#reached("journal.synced");
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

  /**
   * Records below `sequence` are not needed any more: what they say is in the map, durably.
   * @param mapSequence - the newest durable record of the map's log
   */
  trim(sequence: number, mapSequence = 0): void {
    this.#mapSequence = Math.max(this.#mapSequence, mapSequence);
    this.#live.dropBelow(sequence);
    this.#tail = this.#live.oldest?.offset ?? this.#head;
    this.#writeSuperblockIfWorth();
  }

  #writeSuperblockIfWorth(): void {
    if (this.#superblockRunning || this.#failed || !this.#hasRoom || this.#tail === this.#durableTail) return;
    const worth = this.#tail - this.#durableTail >= this.#dataBytes * TRIM_SHARE;
    if (!worth && !this.#trimWanted && !this.isEmpty) return;
    this.#trimWanted = false;
    this.#superblockRunning = true;
    const tailOffset = this.#tail;
    const { oldest } = this.#live;
    const tail = {
      tailOffset,
      tailSequence: oldest?.sequence ?? this.#nextSequence,
      // Destage may trim all that was replayed so far: the record that comes next is of an older owner still.
      tailEpoch: oldest?.epoch ?? this.#recoveringEpoch ?? this.#epoch,
      mapSequence: this.#mapSequence,
    };
    // A block may need its record no more because it was overwritten: by a record that the power may still take. Were the
    // new tail on the disk before that record is, neither would be left (invariant 6).
    this.whenSynced(Math.max(this.#nextSequence - 1, this.#applying), (durable) => {
      if (durable) this.#writeSuperblock(tail);
      else this.#superblockRunning = false;
    });
  }

  #writeSuperblock(tail: Pick<Superblock, "tailOffset" | "tailSequence" | "tailEpoch" | "mapSequence">): void {
    this.#superblockCounter += 1;
    const superblock: Superblock = {
      ...tail,
      counter: this.#superblockCounter,
      identity: this.#identity,
      ownerEpoch: this.#epoch,
      syncedSequence: Math.max(this.#syncedSequence, this.#recoveredSynced),
      fileBytes: this.#file.bytes,
    };
    try {
      this.#writeFile(SUPERBLOCK_POSITIONS[this.#superblockCounter % 2]!, [encodeSuperblock(superblock)]);
    } catch (error) {
      if (!(error instanceof JournalFileError)) throw error;
      // Told by `onFailure`: who trimmed, or asked for room, is not who has to do with it.
      if (this.#failed) return;
      // The other place holds the one that counts.
      this.#superblockCounter -= 1;
      this.#superblockRunning = false;
      this.#hasRoom = false;
      return;
    }
    this.#reached("journal.superblockWritten");
    this.#syncFile((error) => {
      this.#superblockRunning = false;
      if (error !== undefined) {
        this.#fail(error);
        return;
      }
      this.#reached("journal.trimmed");
      this.#durableTail = tail.tailOffset;
      this.#writeSuperblockIfWorth();
      this.#options.onProgress();
    });
  }

  // — recovery —

  /**
   * Reads the records that were live, oldest first, handing each to `apply` before it looks at the next. Afterwards
   * appends go on behind the last whole record.
   * @throws JournalError when the file is another journal, of another version, or lost records that were durable
   */
  async recover({ piece, apply, pagesKept = false }: Recovery): Promise<{ records: number; bytes: number }> {
    const superblock = newestSuperblock(this.#file, this.#identity);
    this.#superblockCounter = superblock.counter;
    this.#mapSequence = Math.max(this.#mapSequence, superblock.mapSequence);
    this.#tail = superblock.tailOffset;
    // Durable by `claim`, whoever wrote it first.
    this.#durableTail = superblock.tailOffset;
    this.#head = superblock.tailOffset;
    // Whoever syncs the file for the whole life of the process does not forget that it once failed.
    this.#rewritten = pagesKept ? Number.POSITIVE_INFINITY : superblock.tailOffset;
    this.#nextSequence = superblock.tailSequence;
    let records = 0;
    let epoch = superblock.tailEpoch;
    let { syncedSequence } = superblock;
    const reader = new JournalReader(this.#file, this.#id, piece);
    reader.headersOnly = pagesKept;
    this.#reader = reader;
    const { mirror } = this.#file;
    let other = mirror?.other;
    for (let live = this.#liveRecord(this.#head, this.#nextSequence, epoch); live !== undefined; ) {
      const { found, offset } = live;
      const record = reader.entriesOf(found);
      // What is written to behind the last one can't have been begun before that one was whole.
      const following = pagesKept ? this.#recordAfter(live) : undefined;
      if (pagesKept && following === undefined && !reader.payloadHolds(record)) break;
      if (following === undefined) this.#level(found);
      if (mirror?.other !== other) {
        // What was read ahead may be of a copy that is lost now.
        other = mirror?.other;
        reader.forget();
        live = this.#liveRecord(this.#head, found.sequence, epoch);
        continue;
      }
      this.#head = offset;
      epoch = found.epoch;
      syncedSequence = Math.max(syncedSequence, found.syncedSequence);
      this.#recoveringEpoch = epoch;
      this.#recoveredSynced = syncedSequence;
      this.#applying = found.sequence;
      this.#recoveredEnd = offset + found.bytes;
      const waits = apply(record);
      if (waits !== undefined) await waits;
      this.#live.push(found.sequence, epoch, offset);
      this.#head = offset + found.bytes;
      this.#nextSequence = found.sequence + 1;
      records += 1;
      live = pagesKept ? following : this.#recordAfter(live);
    }
    reader.readNoFurther();
    this.#recoveringEpoch = undefined;
    if (syncedSequence >= this.#nextSequence) {
      throw new JournalError(
        "damaged",
        `the journal ends at record ${this.#nextSequence - 1}, but records up to ${syncedSequence} had been made durable: the file was damaged or replaced by an older copy`,
      );
    }
    return { records, bytes: this.#head - this.#tail };
  }

  get isMirrored(): boolean {
    return this.#file.mirror !== undefined;
  }

  /**
   * Where in recovery's piece so many bytes from a position of the file lie now, until something else is brought there; for who
   * recovers, until the pool is served.
   */
  bring(position: number, bytes: number): number {
    const at = this.#reader!.bring(position, bytes);
    if (at < 0) throw new JournalError("damaged", `the journal's file ends before byte ${position + bytes}, which was there`);
    return at;
  }

  #recordAfter({ found, offset }: LiveRecord): LiveRecord | undefined {
    return this.#liveRecord(offset + found.bytes, found.sequence + 1, found.epoch);
  }

  /** The record of a sequence that begins at an offset, or at the start of the file behind it. */
  #liveRecord(from: number, sequence: number, previousEpoch: number): LiveRecord | undefined {
    let epochMin = previousEpoch;
    for (let offset = from; ; ) {
      const toEnd = this.#dataBytes - (offset % this.#dataBytes);
      // Nothing was ever written across the end, and a tail end without room for a header is skipped in silence.
      if (toEnd >= RECORD_HEADER_BYTES) {
        const bytesMax = Math.min(toEnd, this.#dataBytes - (offset - this.#tail));
        const expected = { sequence, epochMin, epochMax: this.#epoch, bytesMax };
        const position = this.#positionOf(offset);
        const found = this.#reader!.find(position, expected) ?? this.#findInOther(position, expected);
        if (found === undefined) return undefined;
        if (!found.wraps) return { found, offset };
        this.#level(found);
        // Whoever wrote this wrote, or lost, the record behind it: one of an owner before lies there from another time.
        epochMin = found.epoch;
      }
      offset += toEnd;
    }
  }

  /** Where one copy of the journal ends, or is damaged, the other may go on: what it has is put into both. */
  #findInOther(position: number, expected: Expected): FoundRecord | undefined {
    const piece = Buffer.allocUnsafeSlow(READER_PIECE_BYTES_MIN);
    const there = this.#ofOther((other) => {
      const found = new JournalReader(other, this.#id, piece).find(position, expected);
      return found && { found, bytes: readFrom(other, position, found.bytes) };
    });
    if (there === undefined) return undefined;
    this.#writeFile(position, [there.bytes]);
    this.#reader!.forget();
    return there.found;
  }

  /** Undefined where there is no other copy, or none that can be read. */
  #ofOther<T>(read: (other: JournalFile) => T): T | undefined {
    const { mirror } = this.#file;
    if (mirror?.other === undefined) return undefined;
    try {
      return read(mirror.other);
    } catch (error) {
      if (!(error instanceof JournalFileError)) throw error;
      mirror.loseOther(error);
      return undefined;
    }
  }

  /**
   * What counts is in every copy that is in step before it does: the copy that it was read from may be lost next, and what is
   * in memory by then has to be what the other goes on with.
   */
  #level({ position, bytes }: FoundRecord): void {
    if (this.#file.mirror?.other === undefined) return;
    const ours = readFrom(this.#file, position, bytes);
    const theirs = this.#ofOther((other) => readFrom(other, position, bytes));
    if (theirs?.equals(ours) === false) this.#writeFile(position, [ours]);
  }

  /**
   * After recovery, before the pool serves: what no sync is known to have covered is written anew, and so becomes the same in
   * all copies that are in step; a copy that was lost has everything copied that the superblock leads to.
   * @param breathe - between two slices: what goes on beside it writes to all copies meanwhile
   * @param durably - the power may have failed: what came back is what is on the disk of the one copy or of the other, and is
   * on both before anybody sees it
   * @returns the copies that were lost and are whole now, durably: for the record, which makes them count
   */
  async mend(breathe: () => Promise<void>, durably = false): Promise<number[]> {
    while (this.#rewriteSlice()) await breathe();
    const { mirror } = this.#file;
    if (durably && mirror !== undefined && this.#hasRoom)
      await new Promise<void>((ended) => this.whenSynced(this.#nextSequence - 1, () => ended()));
    const mended: number[] = [];
    for (const copy of mirror?.lostCopies ?? []) {
      const target = mirror!.follow(copy);
      try {
        await this.#copyRecords(target, breathe);
        this.#endAtHead(target);
        const head = Buffer.alloc(JOURNAL_DATA_START);
        this.#file.read(0, head);
        target.write(0, [head]);
        await synced(this.#file);
        if (mirror!.joined(copy)) mended.push(copy);
      } catch (error) {
        if (!(error instanceof JournalFileError) || this.#failed) throw error;
        mirror!.abandon(copy, error);
      }
    }
    return mended;
  }

  /** A copy that was ahead when it was lost has records behind the end that would count as the next ones. */
  #endAtHead(target: JournalFile): void {
    const bytes = Math.min(RECORD_HEADER_BYTES, this.#dataBytes - (this.#head - this.#durableTail));
    const toEnd = Math.min(bytes, this.#dataBytes - (this.#head % this.#dataBytes));
    target.write(this.#positionOf(this.#head), [Buffer.alloc(toEnd)]);
    if (toEnd < bytes) target.write(JOURNAL_DATA_START, [Buffer.alloc(bytes - toEnd)]);
  }

  /** Invariant 5. False: nothing is left to do, or the journal has failed. */
  #rewriteSlice(): boolean {
    const from = this.#unsureFrom();
    if (from >= this.#recoveredEnd || this.#failed) return false;
    const slice = this.#sliceAt(from, this.#recoveredEnd);
    try {
      this.#file.read(this.#positionOf(from), slice);
      this.#file.write(this.#positionOf(from), [slice]);
    } catch (error) {
      if (!(error instanceof JournalFileError)) throw error;
      // Told by `onFailure`.
      if (error.kind !== "noSpace") this.#fail(error);
      this.#hasRoom = false;
      return false;
    }
    this.#rewritten = from + slice.length;
    return true;
  }

  /** From where on what was recovered may be in the page cache only: trimmed or not, as long as the superblock leads there. */
  #unsureFrom(): number {
    // The last record that is sure, as what says that the journal goes on at the start of the file may lie behind it.
    const unsure = this.#live.offsetBefore(this.#recoveredSynced) ?? this.#durableTail;
    return Math.max(unsure, this.#rewritten, this.#durableTail);
  }

  /**
   * From where the superblock says that the journal begins, be it trimmed since or not: who has the copy alone begins there. All of
   * it, whatever the copy has: what is read there need not be on its disk (invariant 5).
   */
  async #copyRecords(target: JournalFile, breathe: () => Promise<void>): Promise<void> {
    for (let offset = this.#durableTail; offset < this.#head; ) {
      const slice = this.#sliceAt(offset, this.#head);
      this.#file.read(this.#positionOf(offset), slice);
      target.write(this.#positionOf(offset), [slice]);
      await breathe();
      offset = Math.max(offset + slice.length, this.#durableTail);
    }
  }

  /** Room for what lies in one piece from an offset on. */
  #sliceAt(offset: number, end: number): Buffer {
    return Buffer.allocUnsafe(Math.min(COPY_SLICE_BYTES, end - offset, this.#dataBytes - (offset % this.#dataBytes)));
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
      sealRecord(words, checkedPart(wrap, 0), this.#id, {
        sequence: this.#nextSequence,
        epoch: this.#epoch,
        entryCount: 0,
        payloadFrames: 0,
        syncedSequence: this.#syncedSequence,
        kind: RECORD_KIND.wrap,
      });
      this.#writeFile(this.#positionOf(this.#head), [wrap]);
      this.#reached("journal.wrapped");
    }
    this.#head += skip;
  }

  #writeFile(position: number, buffers: readonly Uint8Array[]): void {
    try {
      this.#file.write(position, buffers);
    } catch (error) {
      if ((error as JournalFileError).kind !== "noSpace") this.#fail(error as JournalFileError);
      throw error;
    }
  }

  /** A file that refuses at once ends the sync by that. */
  #syncFile(done: (error: JournalFileError | undefined) => void): void {
    try {
      this.#file.sync(done);
    } catch (error) {
      if (!(error instanceof JournalFileError)) throw error;
      done(error);
    }
  }

  #fail(error: JournalFileError): void {
    if (this.#failed) return;
    this.#failed = true;
    this.#options.onFailure(error);
    for (const waiter of this.#syncWaiters.splice(0)) waiter.done(false);
  }
}

function synced(file: JournalFile): Promise<void> {
  return new Promise((resolve, reject) => file.sync((error) => (error === undefined ? resolve() : reject(error))));
}

function readFrom(file: JournalFile, position: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes);
  file.read(position, buffer);
  return buffer;
}
