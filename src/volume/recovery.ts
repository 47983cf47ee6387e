/**
 * The two steps of recovery after the map is loaded: zones put in order, and the journal replayed into the cache.
 *
 * Replay does what the writes did: the same blocks become dirty under the same sequences, in the same order, and destage
 * takes them from there. It can be repeated at will: a crash during recovery is just another crash.
 */
import { JournalFileError } from "../../drivers/journal-file/journal-file.ts";
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";
import type { RecoveredEntry, RecoveredRecord } from "../journal/journal-reader.ts";
import { ENTRY_KIND } from "../journal/record.ts";
import { MapChange, ZONE_EVENT } from "../map/map-log.ts";
import { PAGE_BLOCKS, PAGE_NOT_LOADED } from "../map/map-pages.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { completeBlock } from "./complete-block.ts";
import { DeferredPayload } from "./deferred-payload.ts";
import type { RecoveredHook } from "./pool-members.ts";
import type { PoolParts } from "./pool-parts.ts";
import { RecoveryPiece } from "./recovery-piece.ts";
import { breathe, type PoolRuntime, pause } from "./runtime.ts";

const FRAME_WAIT_MILLISECONDS = 5;
/** Then others have their turn. */
const TURN_MILLISECONDS = 20;
/** Applied in a fraction of a millisecond: the clock is not asked for each. */
const BLOCKS_BETWEEN_LOOKS = 64;

export interface RecoveryHooks {
  /** Destage is to make room. */
  readonly press: () => Promise<void>;
  /** Another director's request was found, executed (once for each of its entries). */
  readonly onRecovered: RecoveredHook | undefined;
  /** The process that wrote the journal still runs: what it wrote is in the kernel's pages, but for the end of it. */
  readonly pagesKept: boolean;
}

/** After checkZones: seals zones that were open, and goes on removing those that were being removed. */
export async function putZonesInOrder(parts: PoolParts, removeZone: (slot: number) => Promise<void>): Promise<void> {
  const { map, runtime } = parts;
  const { zones } = map;
  for (let slot = 0; slot < zones.slotCount; slot++) {
    if (zones.state[slot] === ZONE_STATE.open) {
      await map.exclusive(async () => {
        const change = new MapChange();
        change.events.push({ kind: ZONE_EVENT.sealed, slot, zone: zones.zone[slot]!, stripes: zones.stripes[slot]! });
        await map.commit(change);
      });
      runtime.reached("recovery.zoneSealed");
    } else if (zones.state[slot] === ZONE_STATE.emptied) await removeZone(slot);
  }
}

/** Brings what the journal holds back into the cache; raises an event that says how much. */
export async function replayJournal(parts: PoolParts, hooks: RecoveryHooks): Promise<void> {
  const { journal, runtime, name } = parts;
  const beganAt = runtime.nowMilliseconds();
  // Of a journal with two copies each is read whole: what one of them lacks or has wrong is taken from the other.
  const pagesKept = hooks.pagesKept && !journal.isMirrored;
  const piece = new RecoveryPiece(parts);
  const replay = new Replay(parts, hooks, { piece, pagesKept });
  const { records, bytes } = await journal.recover({ piece: piece.buffer, apply: (record) => replay.apply(record), pagesKept });
  await replay.loadDeferred();
  runtime.reached("recovery.payloadLoaded");
  if (records > 0) {
    runtime.raise({
      severity: "info",
      type: "journal.replayed",
      subject: `pool ${name}`,
      message: `${records} records, ${bytes} bytes of the journal were replayed in ${Math.round(runtime.nowMilliseconds() - beganAt)} ms`,
    });
  }
}

/** Recovery of one pool holds up the hosts of the director's other pools for a moment at a time, and its heart beats. */
class Turns {
  readonly #runtime: PoolRuntime;
  #since: number;
  #passed = 0;

  constructor(runtime: PoolRuntime) {
    this.#runtime = runtime;
    this.#since = runtime.nowMilliseconds();
  }

  /** So much was done. True: it is others' turn, and time for `breathe`. */
  passed(blocks: number): boolean {
    this.#passed += blocks;
    if (this.#passed < BLOCKS_BETWEEN_LOOKS) return false;
    this.#passed = 0;
    return this.#isOver;
  }

  async breathe(): Promise<void> {
    if (!this.#isOver) return;
    await breathe(this.#runtime);
    this.#since = this.#runtime.nowMilliseconds();
  }

  get #isOver(): boolean {
    return this.#runtime.nowMilliseconds() - this.#since >= TURN_MILLISECONDS;
  }
}

/**
 * Applies records in their order. Most of them at once, without a promise or an object for each: it is what each record
 * costs that a journal of small records takes its time for.
 */
class Replay {
  readonly #parts: PoolParts;
  readonly #hooks: RecoveryHooks;
  readonly #piece: RecoveryPiece;
  readonly #turns: Turns;
  /** Content that is read last; undefined: it is read at once. */
  #deferred: DeferredPayload | undefined;

  constructor(parts: PoolParts, hooks: RecoveryHooks, { piece, pagesKept }: { piece: RecoveryPiece; pagesKept: boolean }) {
    this.#parts = parts;
    this.#hooks = hooks;
    this.#piece = piece;
    this.#turns = new Turns(parts.runtime);
    this.#deferred = pagesKept ? new DeferredPayload(parts, piece, () => this.#turns.breathe()) : undefined;
  }

  async loadDeferred(): Promise<void> {
    await this.#deferred?.load();
    this.#deferred = undefined;
  }

  /** Undefined: all of it is applied already. */
  apply(record: RecoveredRecord): Promise<void> | undefined {
    for (let n = 0; n < record.entries.length; n++) {
      if (!this.#applyEntry(record.entries[n]!, record)) return this.#applyFrom(record, n);
    }
    this.#parts.runtime.reached("recovery.recordApplied");
    return this.#turns.passed(record.entries.length) ? this.#turns.breathe() : undefined;
  }

  /** As `apply`, for a record that has to wait for something. */
  async #applyFrom(record: RecoveredRecord, first: number): Promise<void> {
    const { map } = this.#parts;
    for (let n = first; n < record.entries.length; ) {
      const entry = record.entries[n]!;
      if (this.#applyEntry(entry, record)) n += 1;
      else if (this.#lacksPage(entry)) await map.loadPage(entry.volume, Math.floor(entry.block / PAGE_BLOCKS));
      else await this.#makeRoom();
    }
    this.#parts.runtime.reached("recovery.recordApplied");
    await this.#turns.breathe();
  }

  /** False: it lacks a page of the map, or a frame. */
  #applyEntry(entry: RecoveredEntry, { sequence, epoch }: Pick<RecoveredRecord, "sequence" | "epoch">): boolean {
    const { cache, volumes, zeros } = this.#parts;
    const { volume, block, count } = entry;
    // Its volume was deleted after the write.
    const isKnown = volumes.has(volume);
    if (isKnown && entry.kind === ENTRY_KIND.zero) {
      cache.removeRange(volume, block, count);
      zeros.add({ volume, block, count, sequence });
    } else if (isKnown && !this.#applyWrite(entry, sequence)) return false;
    if (entry.request !== 0) this.#hooks.onRecovered?.(entry, epoch);
    return true;
  }

  #applyWrite(entry: RecoveredEntry, sequence: number): boolean {
    const { cache, frames } = this.#parts;
    const { volume, block, mask, crc, payloadPosition } = entry;
    const deferred = this.#deferred;
    if (mask !== MASK_FULL) return this.#applyPart(entry, sequence);
    if (deferred !== undefined) {
      const older = cache.find(volume, block);
      if (older >= 0 && deferred.waits(older)) {
        cache.republishDirty(older, crc, sequence);
        deferred.defer(older, payloadPosition, sequence);
        return true;
      }
    }
    const frame = frames.takeInternal(false);
    if (frame < 0) return false;
    if (deferred === undefined) this.#piece.copyTo(frame, payloadPosition);
    else deferred.defer(frame, payloadPosition, sequence);
    cache.publishDirty(frame, volume, block, MASK_FULL, crc, sequence);
    return true;
  }

  /** A write of part of a block needs what was there before. */
  #applyPart(entry: RecoveredEntry, sequence: number): boolean {
    const { cache, frames } = this.#parts;
    const { volume, block, payloadPosition } = entry;
    if (this.#lacksPage(entry)) return false;
    const frame = frames.takeInternal(false);
    if (frame < 0) return false;
    this.#deferred?.forget(frame);
    const older = cache.find(volume, block);
    if (older >= 0) this.#deferred?.loadOne(older);
    this.#piece.copyTo(frame, payloadPosition);
    const mask = completeBlock(this.#parts, { volume, block, frame, mask: entry.mask });
    const crc = dataChecksum(frames.view(frame));
    // A host's write brings the whole of what memory has along; this one may have been made when that was on the drives, and
    // a range that was zeroed before it is taken from them again.
    if (older >= 0 && cache.isDirty(older)) cache.replaceByReplayed(older, frame, mask, crc);
    else cache.publishDirty(frame, volume, block, mask, crc, sequence);
    return true;
  }

  #lacksPage({ kind, mask, volume, block }: RecoveredEntry): boolean {
    return kind === ENTRY_KIND.write && mask !== MASK_FULL && this.#parts.map.lookup(volume, block) === PAGE_NOT_LOADED;
  }

  /** A journal may hold more blocks than memory does: destage goes along while it is replayed, and what it takes must be there. */
  async #makeRoom(): Promise<void> {
    const { health, journal, name, runtime } = this.#parts;
    // As it is: its kind says what becomes of the pool, and that it is the pool's alone.
    if (health.error !== undefined) throw health.error;
    // Destage waits for that sync, and room is looked for behind the journal's end only, which is not known yet: opened anew.
    if (journal.lacksRoomToSync) {
      throw new JournalFileError(
        "noSpace",
        `the disk below the journal of pool ${name} is full, and memory does not hold what is in it: make room there. Nothing that was acknowledged is lost`,
      );
    }
    await this.loadDeferred();
    await this.#hooks.press();
    await pause(runtime, FRAME_WAIT_MILLISECONDS);
  }
}
