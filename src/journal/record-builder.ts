/**
 * Builds one journal record: entries in a buffer that is used again, payload as the buffers that it lies in.
 */
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import {
  checkedPart,
  ENTRY_BYTES,
  ENTRY_KIND,
  ENTRY_WORD,
  ENTRY_WORDS,
  type JournalId,
  RECORD_ENTRIES_MAX,
  RECORD_HEADER_BYTES,
  RECORD_KIND,
  REQUESTER_EPOCH_SHIFT,
  type RecordHeader,
  sealRecord,
} from "./record.ts";

/** Who asked for a write, and for which blocks: what an entry says. */
export interface EntrySource {
  readonly volume: number;
  readonly block: number;
  readonly nexus: number;
  readonly initiatorTaskTag: number;
  /** What another director asked for is told by its number and that director's epoch (16 bits of it); 0: asked here. */
  readonly request?: number;
  readonly requesterEpoch?: number;
}

/** Size of a record with so many entries and frames. */
export function recordBytes(entryCount: number, payloadFrames: number): number {
  return RECORD_HEADER_BYTES + entryCount * ENTRY_BYTES + payloadFrames * FRAME_BYTES;
}

/** Records of up to so many entries have views that last. */
const VIEWS_KEPT = 64;

export class RecordBuilder {
  readonly #bytes = Buffer.alloc(RECORD_HEADER_BYTES + RECORD_ENTRIES_MAX * ENTRY_BYTES);
  readonly #words = new Uint32Array(this.#bytes.buffer, this.#bytes.byteOffset, this.#bytes.length / 4);
  /** The first is for header and entries. */
  readonly #buffers: Uint8Array[] = [this.#bytes];
  readonly #header: RecordHeader = {
    sequence: 0,
    epoch: 0,
    entryCount: 0,
    payloadFrames: 0,
    syncedSequence: 0,
    kind: RECORD_KIND.data,
  };
  /** By number of entries: header and entries, and what of them the checksum covers. */
  readonly #wholeViews: Uint8Array[] = [];
  readonly #checkedViews: Uint8Array[] = [];
  #entryCount = 0;
  #payloadFrames = 0;

  constructor() {
    for (let entries = 0; entries <= VIEWS_KEPT; entries++) {
      this.#wholeViews.push(this.#bytes.subarray(0, recordBytes(entries, 0)));
      this.#checkedViews.push(checkedPart(this.#bytes, entries));
    }
  }

  /** Of the record as it stands. */
  get bytes(): number {
    return recordBytes(this.#entryCount, this.#payloadFrames);
  }

  addWrite(entry: EntrySource & { readonly mask: number; readonly crc: number }): void {
    this.#add(ENTRY_KIND.write | (entry.mask << 8), entry, 1, entry.crc);
    this.#payloadFrames += 1;
  }

  /** Payload of the write entries, in their order: any number of buffers, whole frames in sum. */
  addPayload(buffer: Uint8Array): void {
    this.#buffers.push(buffer);
  }

  addZero(entry: EntrySource & { readonly count: number }): void {
    this.#add(ENTRY_KIND.zero, entry, entry.count, 0);
  }

  /** The whole record, ready to be written. It is valid until `clear`. */
  seal(id: JournalId, sequence: number, epoch: number, syncedSequence: number): readonly Uint8Array[] {
    const count = this.#entryCount;
    const header = this.#header;
    header.sequence = sequence;
    header.epoch = epoch;
    header.syncedSequence = syncedSequence;
    header.entryCount = count;
    header.payloadFrames = this.#payloadFrames;
    sealRecord(this.#words, this.#checkedViews[count] ?? checkedPart(this.#bytes, count), id, header);
    this.#buffers[0] = this.#wholeViews[count] ?? this.#bytes.subarray(0, recordBytes(count, 0));
    return this.#buffers;
  }

  clear(): void {
    this.#entryCount = 0;
    this.#payloadFrames = 0;
    this.#buffers.length = 1;
  }

  #add(kindAndMask: number, source: EntrySource, count: number, crc: number): void {
    if (this.#entryCount >= RECORD_ENTRIES_MAX) throw new Error("invariant: a journal record is over its entries");
    const at = RECORD_HEADER_BYTES / 4 + this.#entryCount * ENTRY_WORDS;
    this.#entryCount += 1;
    const words = this.#words;
    words[at + ENTRY_WORD.kindAndMask] = kindAndMask | ((source.requesterEpoch ?? 0) << REQUESTER_EPOCH_SHIFT);
    words[at + ENTRY_WORD.volume] = source.volume;
    words[at + ENTRY_WORD.block] = source.block;
    words[at + ENTRY_WORD.count] = count;
    words[at + ENTRY_WORD.crc] = crc;
    words[at + ENTRY_WORD.nexus] = source.nexus;
    words[at + ENTRY_WORD.initiatorTaskTag] = source.initiatorTaskTag;
    words[at + ENTRY_WORD.request] = source.request ?? 0;
  }
}
