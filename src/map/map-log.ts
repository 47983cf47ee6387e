/**
 * Records of the map's log and the checkpoint that it starts from, as bytes.
 *
 * The map changes by records: each is one value under a rising key in the drives' metadata, so that it is small,
 * atomic and durable at once; pages are written at checkpoints only. A record's entries carry the old place too, so
 * that replay can keep the zones' live counts without reading pages.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { LostBlocks, type LostRange } from "./lost-blocks.ts";
import { ZONE_STATE, type ZoneState, ZoneTable } from "./zone-table.ts";

const HEADER_BYTES = 32;
const EVENT_WORDS = 4;
const ENTRY_WORDS = 4;
const LOG_MAGIC = 0x314c4d56; // "VML1"
const CHECKPOINT_MAGIC = 0x31504356; // "VCP1"
/** Entries of one record, so that its value stays below the drives' bound for metadata values. */
export const LOG_ENTRIES_MAX = 12_000;

export const ZONE_EVENT = { opened: 1, sealed: 2, emptied: 3, freed: 4 } as const;

export interface ZoneEvent {
  readonly kind: number;
  readonly slot: number;
  readonly zone: number;
  readonly stripes: number;
}

/** Changes of the map that become durable together. Entries are in parallel arrays, used up to `count`. */
export class MapChange {
  volume = new Uint32Array(1024);
  block = new Uint32Array(1024);
  place = new Uint32Array(1024);
  old = new Uint32Array(1024);
  count = 0;
  readonly events: ZoneEvent[] = [];

  add(volume: number, block: number, place: number, old: number): void {
    if (this.count === this.volume.length) this.#grow();
    const n = this.count++;
    this.volume[n] = volume;
    this.block[n] = block;
    this.place[n] = place;
    this.old[n] = old;
  }

  get isEmpty(): boolean {
    return this.count === 0 && this.events.length === 0;
  }

  #grow(): void {
    const grow = (array: Uint32Array): Uint32Array<ArrayBuffer> => {
      const grown = new Uint32Array(array.length * 2);
      grown.set(array);
      return grown;
    };
    this.volume = grow(this.volume);
    this.block = grow(this.block);
    this.place = grow(this.place);
    this.old = grow(this.old);
  }
}

export function logKey(sequence: number): string {
  return `l/${sequence.toString(16).padStart(13, "0")}`;
}

export const LOG_RANGE = { from: "l/", below: "l0" } as const;

export function sequenceOfLogKey(key: string): number {
  return Number.parseInt(key.slice(2), 16);
}

export function encodeLogRecord(sequence: number, change: MapChange): Uint8Array {
  const words = new Uint32Array(HEADER_BYTES / 4 + change.events.length * EVENT_WORDS + change.count * ENTRY_WORDS);
  words[0] = LOG_MAGIC;
  words[2] = sequence % 2 ** 32;
  words[3] = Math.floor(sequence / 2 ** 32);
  words[4] = change.events.length;
  words[5] = change.count;
  let at = HEADER_BYTES / 4;
  for (const event of change.events) {
    words[at] = event.kind;
    words[at + 1] = event.slot;
    words[at + 2] = event.zone;
    words[at + 3] = event.stripes;
    at += EVENT_WORDS;
  }
  for (let n = 0; n < change.count; n++) {
    words[at] = change.volume[n]!;
    words[at + 1] = change.block[n]!;
    words[at + 2] = change.place[n]!;
    words[at + 3] = change.old[n]!;
    at += ENTRY_WORDS;
  }
  const bytes = new Uint8Array(words.buffer);
  words[1] = dataChecksum(bytes.subarray(8));
  return bytes;
}

/** The record, or undefined when the bytes are not that record whole. */
export function decodeLogRecord(value: Uint8Array, sequence: number): MapChange | undefined {
  if (value.length < HEADER_BYTES || value.length % 4 !== 0) return undefined;
  const words = new Uint32Array(new Uint8Array(value).buffer);
  if (words[0] !== LOG_MAGIC || words[1] !== dataChecksum(new Uint8Array(words.buffer).subarray(8))) return undefined;
  if (words[2]! + words[3]! * 2 ** 32 !== sequence) return undefined;
  const eventCount = words[4]!;
  const entryCount = words[5]!;
  if (words.length !== HEADER_BYTES / 4 + eventCount * EVENT_WORDS + entryCount * ENTRY_WORDS) return undefined;
  const change = new MapChange();
  let at = HEADER_BYTES / 4;
  for (let n = 0; n < eventCount; n++) {
    change.events.push({ kind: words[at]!, slot: words[at + 1]!, zone: words[at + 2]!, stripes: words[at + 3]! });
    at += EVENT_WORDS;
  }
  for (let n = 0; n < entryCount; n++) {
    change.add(words[at]!, words[at + 1]!, words[at + 2]!, words[at + 3]!);
    at += ENTRY_WORDS;
  }
  return change;
}

/** What a checkpoint says: the log's records up to and including `logSequence` are in pages, zone table and counts. */
export interface Checkpoint {
  readonly logSequence: number;
  readonly zones: ZoneTable;
  /** Mapped blocks of each volume. */
  readonly mapped: Map<number, number>;
  readonly lost: LostBlocks;
}

const CHECKPOINT_HEADER_WORDS = 8;

export function encodeCheckpoint(checkpoint: Omit<Checkpoint, "lost"> & { readonly lost?: LostBlocks }): Uint8Array {
  const { logSequence, zones, mapped, lost = new LostBlocks() } = checkpoint;
  const words = new Uint32Array(CHECKPOINT_HEADER_WORDS + zones.slotCount * 4 + mapped.size * 2 + lostWords(lost));
  words[0] = CHECKPOINT_MAGIC;
  words[2] = logSequence % 2 ** 32;
  words[3] = Math.floor(logSequence / 2 ** 32);
  words[4] = zones.slotCount;
  words[5] = zones.nextZone;
  words[6] = mapped.size;
  words[7] = lost.counts.size;
  let at = CHECKPOINT_HEADER_WORDS;
  for (let slot = 0; slot < zones.slotCount; slot++) {
    words[at] = zones.zone[slot]!;
    words[at + 1] = zones.state[slot]!;
    words[at + 2] = zones.stripes[slot]!;
    words[at + 3] = zones.live[slot]!;
    at += 4;
  }
  for (const [volume, blocks] of mapped) {
    words[at] = volume;
    words[at + 1] = blocks;
    at += 2;
  }
  at = encodeLost(words, at, lost);
  const bytes = new Uint8Array(words.buffer);
  words[1] = dataChecksum(bytes.subarray(8));
  return bytes;
}

/** The checkpoint, or undefined when the bytes are not a whole one of a pool with so many zone slots. */
export function decodeCheckpoint(value: Uint8Array, slotCount: number): Checkpoint | undefined {
  if (value.length < (CHECKPOINT_HEADER_WORDS + slotCount * 4) * 4 || value.length % 4 !== 0) return undefined;
  const words = new Uint32Array(new Uint8Array(value).buffer);
  if (words[0] !== CHECKPOINT_MAGIC || words[1] !== dataChecksum(new Uint8Array(words.buffer).subarray(8))) return undefined;
  const lostAt = CHECKPOINT_HEADER_WORDS + slotCount * 4 + words[6]! * 2;
  if (words[4] !== slotCount || words.length < lostAt) return undefined;
  const lost = decodeLost(words, lostAt);
  if (lost === undefined) return undefined;
  const zones = new ZoneTable(slotCount);
  zones.nextZone = words[5]!;
  let at = CHECKPOINT_HEADER_WORDS;
  for (let slot = 0; slot < slotCount; slot++) {
    zones.zone[slot] = words[at]!;
    if (words[at + 1]! > ZONE_STATE.emptied) return undefined;
    zones.setState(slot, words[at + 1] as ZoneState);
    zones.stripes[slot] = words[at + 2]!;
    zones.live[slot] = words[at + 3]!;
    zones.liveTotal += words[at + 3]!;
    at += 4;
  }
  const mapped = new Map<number, number>();
  for (let n = 0; n < words[6]!; n++) mapped.set(words[at + n * 2]!, words[at + n * 2 + 1]!);
  return { logSequence: words[2]! + words[3]! * 2 ** 32, zones, mapped, lost };
}

/** Where nothing is lost there is no such part, as in checkpoints from before there was one. */
function lostWords({ counts, ranges }: LostBlocks): number {
  return counts.size === 0 ? 0 : counts.size * 2 + 1 + ranges.length * 3;
}

function encodeLost(words: Uint32Array, from: number, { counts, ranges }: LostBlocks): number {
  if (counts.size === 0) return from;
  let at = from;
  for (const [volume, count] of counts) {
    words[at++] = volume;
    words[at++] = count;
  }
  words[at++] = ranges.length;
  for (const { volume, firstBlock, blockCount } of ranges) {
    words[at++] = volume;
    words[at++] = firstBlock;
    words[at++] = blockCount;
  }
  return at;
}

/** Undefined: it does not fill the rest of the words. */
function decodeLost(words: Uint32Array, from: number): LostBlocks | undefined {
  const lost = new LostBlocks();
  const countsSize = words[7]!;
  if (countsSize === 0) return words.length === from ? lost : undefined;
  const rangesAt = from + countsSize * 2 + 1;
  if (words.length < rangesAt || words.length !== rangesAt + words[rangesAt - 1]! * 3) return undefined;
  const counts = new Map<number, number>();
  for (let at = from; at < rangesAt - 1; at += 2) counts.set(words[at]!, words[at + 1]!);
  const ranges: LostRange[] = [];
  for (let at = rangesAt; at < words.length; at += 3)
    ranges.push({ volume: words[at]!, firstBlock: words[at + 1]!, blockCount: words[at + 2]! });
  lost.assign(counts, ranges);
  return lost;
}
