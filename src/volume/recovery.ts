/**
 * The two steps of recovery after the map is loaded: zones put in order, and the journal replayed into the cache.
 *
 * Replay does what the writes did: the same blocks become dirty under the same sequences, in the same order, and destage
 * takes them from there. It can be repeated at will: a crash during recovery is just another crash.
 */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { MASK_FULL } from "../cache/frame-pool.ts";
import type { RecoveredEntry, RecoveredRecord } from "../journal/journal-reader.ts";
import { ENTRY_KIND } from "../journal/record.ts";
import { MapChange, ZONE_EVENT } from "../map/map-log.ts";
import { PAGE_BLOCKS } from "../map/map-pages.ts";
import { ZONE_STATE } from "../map/zone-table.ts";
import { completeBlock } from "./complete-block.ts";
import type { RecoveredRequest } from "./pool-members.ts";
import type { PoolParts } from "./pool-parts.ts";
import { pause } from "./runtime.ts";

const FRAME_WAIT_MILLISECONDS = 5;

export interface RecoveryHooks {
  /** Destage is to make room. */
  readonly press: () => void;
  /** Another director's request was found, executed (once for each of its entries). */
  readonly onRecovered: ((request: RecoveredRequest) => void) | undefined;
}

/** Seals zones that were open, removes zones that were being removed or that the map never heard of. */
export async function putZonesInOrder(parts: PoolParts, removeZone: (slot: number) => Promise<void>): Promise<void> {
  const { map, group, runtime, name } = parts;
  const { zones } = map;
  const known = new Set<number>();
  for (let slot = 0; slot < zones.slotCount; slot++) if (zones.state[slot] !== ZONE_STATE.free) known.add(zones.zone[slot]!);

  // A zone may lack on a drive because the array stopped while it was made; then nothing lives in it. If something does,
  // its strips are rebuilt from the others when they are read.
  await group.onEach(group.positions, async (drive) => {
    const there = new Set<number>();
    for (const { zone, finished } of await drive.listZones()) {
      there.add(zone);
      if (!known.has(zone)) await drive.resetZone(zone);
      else if (!finished) await drive.finishZone(zone);
      else continue;
      runtime.reached("recovery.zoneMended");
    }
    for (let slot = 0; slot < zones.slotCount; slot++) {
      if (zones.live[slot] === 0 || there.has(zones.zone[slot]!)) continue;
      runtime.raise({
        severity: "critical",
        type: "zone.missing",
        subject: `drive ${drive.name}`,
        message: `zone ${zones.zone[slot]} of pool ${name} is not on this drive; ${zones.live[slot]} blocks depend on redundancy`,
      });
    }
  });
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
  const scratch = Buffer.alloc(4096);
  const blockIsWhole = (entry: RecoveredEntry): boolean => {
    journal.readPayload(entry.payloadPosition, scratch);
    return dataChecksum(scratch) === entry.crc;
  };
  const { records, bytes } = await journal.recover(blockIsWhole, (record) => applyRecord(parts, record, hooks));
  if (records > 0) {
    runtime.raise({
      severity: "info",
      type: "journal.replayed",
      subject: `pool ${name}`,
      message: `${records} records, ${bytes} bytes of the journal were replayed`,
    });
  }
}

async function applyRecord(parts: PoolParts, record: RecoveredRecord, hooks: RecoveryHooks): Promise<void> {
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
    await applyWrite(parts, entry, record.sequence, hooks);
  }
  parts.runtime.reached("recovery.recordApplied");
}

async function applyWrite(parts: PoolParts, entry: RecoveredEntry, sequence: number, hooks: RecoveryHooks): Promise<void> {
  const { cache, frames, journal, map } = parts;
  const { volume, block } = entry;
  if (entry.mask !== MASK_FULL) await map.loadPage(volume, Math.floor(block / PAGE_BLOCKS));
  const frame = await takeFrame(parts, hooks);
  journal.readPayload(entry.payloadPosition, frames.view(frame));
  const mask = completeBlock(parts, { volume, block, frame, mask: entry.mask });
  const crc = entry.mask === MASK_FULL ? entry.crc : dataChecksum(frames.view(frame));
  cache.publishDirty(frame, volume, block, mask, crc, sequence);
}

/** A journal may hold more blocks than memory does: destage makes room while it is replayed. */
async function takeFrame(parts: PoolParts, hooks: RecoveryHooks): Promise<number> {
  for (;;) {
    const frame = parts.frames.takeInternal(false);
    if (frame >= 0) return frame;
    if (parts.health.failed) throw new Error(parts.health.reason);
    hooks.press();
    await pause(parts.runtime, FRAME_WAIT_MILLISECONDS);
  }
}
