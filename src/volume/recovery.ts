/**
 * The two steps of recovery after the map is loaded: zones put in order, and the journal replayed into the cache.
 *
 * Replay does what the writes did: the same blocks become dirty under the same sequences, in the same order, and destage
 * takes them from there. It can be repeated at will: a crash during recovery is just another crash.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";
import type { RecoveredEntry, RecoveredRecord } from "../journal/journal-reader.ts";
import { ENTRY_KIND } from "../journal/record.ts";
import { MapChange, ZONE_EVENT } from "../map/map-log.ts";
import { PAGE_BLOCKS } from "../map/map-pages.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { completeBlock } from "./complete-block.ts";
import { DeferredPayload } from "./deferred-payload.ts";
import type { RecoveredRequest } from "./pool-members.ts";
import type { PoolParts } from "./pool-parts.ts";
import { breathe, type PoolRuntime, pause } from "./runtime.ts";

const FRAME_WAIT_MILLISECONDS = 5;
/** Then others have their turn. */
const TURN_MILLISECONDS = 20;

export interface RecoveryHooks {
  /** Destage is to make room. */
  readonly press: () => Promise<void>;
  /** Another director's request was found, executed (once for each of its entries). */
  readonly onRecovered: ((request: RecoveredRequest) => void) | undefined;
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
  const scratch = Buffer.alloc(FRAME_BYTES);
  const blockIsWhole = (entry: RecoveredEntry): boolean => {
    const view = journal.viewPayload(entry.payloadPosition, FRAME_BYTES);
    if (view === undefined) journal.readPayload(entry.payloadPosition, scratch);
    return dataChecksum(view ?? scratch) === entry.crc;
  };
  const beganAt = runtime.nowMilliseconds();
  const turns = new Turns(runtime);
  // Of a journal with two copies each is read whole: what one of them lacks or has wrong is taken from the other.
  const pagesKept = hooks.pagesKept && !journal.isMirrored;
  const deferred = pagesKept ? new DeferredPayload(parts, () => turns.breathe()) : undefined;
  const replay: Replay = { parts, hooks, deferred };
  const apply = async (record: RecoveredRecord): Promise<void> => {
    await applyRecord(replay, record);
    await turns.breathe();
  };
  const { records, bytes } = await journal.recover(blockIsWhole, apply, pagesKept);
  await replay.deferred?.load();
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

interface Replay {
  readonly parts: PoolParts;
  readonly hooks: RecoveryHooks;
  /** Content that is read last; undefined: it is read at once. */
  deferred: DeferredPayload | undefined;
}

/** Recovery of one pool holds up the hosts of the director's other pools for a moment at a time, and its heart beats. */
class Turns {
  readonly #runtime: PoolRuntime;
  #since: number;

  constructor(runtime: PoolRuntime) {
    this.#runtime = runtime;
    this.#since = runtime.nowMilliseconds();
  }

  async breathe(): Promise<void> {
    if (this.#runtime.nowMilliseconds() - this.#since < TURN_MILLISECONDS) return;
    await breathe(this.#runtime);
    this.#since = this.#runtime.nowMilliseconds();
  }
}

async function applyRecord(replay: Replay, record: RecoveredRecord): Promise<void> {
  const { parts, hooks } = replay;
  const { cache, volumes, zeros } = parts;
  for (const entry of record.entries) {
    if (entry.request !== 0) hooks.onRecovered?.(entry);
    // Its volume was deleted after the write.
    if (!volumes.has(entry.volume)) continue;
    if (entry.kind === ENTRY_KIND.zero) {
      cache.removeRange(entry.volume, entry.block, entry.count);
      zeros.add({ volume: entry.volume, block: entry.block, count: entry.count, sequence: record.sequence });
      continue;
    }
    await applyWrite(replay, entry, record.sequence);
  }
  parts.runtime.reached("recovery.recordApplied");
}

async function applyWrite(replay: Replay, entry: RecoveredEntry, sequence: number): Promise<void> {
  const { parts } = replay;
  const { cache, frames, journal, map } = parts;
  const { volume, block } = entry;
  const older = cache.find(volume, block);
  if (entry.mask === MASK_FULL && older >= 0 && replay.deferred?.waits(older) === true) {
    cache.republishDirty(older, entry.crc, sequence);
    replay.deferred.defer(older, entry.payloadPosition, sequence);
    return;
  }
  if (entry.mask !== MASK_FULL) await map.loadPage(volume, Math.floor(block / PAGE_BLOCKS));
  const frame = await takeFrame(replay);
  const { deferred } = replay;
  if (deferred !== undefined && entry.mask === MASK_FULL) {
    cache.publishDirty(frame, volume, block, MASK_FULL, entry.crc, sequence);
    deferred.defer(frame, entry.payloadPosition, sequence);
    return;
  }
  deferred?.forget(frame);
  if (older >= 0) deferred?.loadOne(older);
  journal.readPayload(entry.payloadPosition, frames.view(frame));
  const mask = completeBlock(parts, { volume, block, frame, mask: entry.mask });
  const crc = entry.mask === MASK_FULL ? entry.crc : dataChecksum(frames.view(frame));
  cache.publishDirty(frame, volume, block, mask, crc, sequence);
}

/** A journal may hold more blocks than memory does: destage makes room while it is replayed. */
async function takeFrame(replay: Replay): Promise<number> {
  const { parts, hooks } = replay;
  for (;;) {
    const frame = parts.frames.takeInternal(false);
    if (frame >= 0) return frame;
    if (parts.health.failed) throw new Error(parts.health.reason);
    // From here on destage goes along: what it takes must be there.
    await replay.deferred?.load();
    replay.deferred = undefined;
    await hooks.press();
    await pause(parts.runtime, FRAME_WAIT_MILLISECONDS);
  }
}
