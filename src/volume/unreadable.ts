/**
 * What of a pool's volumes can't be read while drives are away: by the map, without reading a block of data.
 *
 * A zone that the level makes good lacks nothing. Of another, a block can be had if a drive that has its strip is there: where
 * more is gone than the level makes good, the rest of a stripe says nothing of what is gone.
 *
 * Runs on: the owning director's thread, a page of the map at a time.
 * Invariant: a block whose newest version is whole in the journal is not among them.
 */
import { LostBlocks } from "../map/lost-blocks.ts";
import { PAGE_BLOCKS } from "../map/map-pages.ts";
import { decodePlace, isPlace, slotOfPlace } from "../raid/geometry.ts";
import type { JournalOverlay } from "./journal-overlay.ts";
import type { PoolParts } from "./pool-parts.ts";
import { breathe } from "./runtime.ts";
import { lostZones } from "./zone-check.ts";

/** @returns undefined: it was over before it was done */
export async function unreadableBlocks(
  parts: PoolParts,
  overlay: JournalOverlay,
  isOver: () => boolean,
): Promise<LostBlocks | undefined> {
  const { map, runtime, volumes } = parts;
  const found = new LostBlocks();
  const zones = new Set(lostZones(parts));
  if (zones.size === 0) return found;
  const slots = new Set<number>();
  for (let slot = 0; slot < map.zones.slotCount; slot++) if (zones.has(map.zones.zone[slot]!)) slots.add(slot);
  for (const [volume, { blockCount }] of volumes) {
    const pageCount = Math.ceil(blockCount / PAGE_BLOCKS);
    for (let page = 0; ; page++) {
      if (isOver()) return undefined;
      page = await map.nextUsedPage(volume, page, pageCount);
      if (page >= pageCount) break;
      const unpin = await map.pinPages([volume], [page * PAGE_BLOCKS], 1);
      for (let block = page * PAGE_BLOCKS; block < (page + 1) * PAGE_BLOCKS; block++) {
        const place = map.lookup(volume, block);
        if (!isPlace(place) || !slots.has(slotOfPlace(parts.geometry, place)) || canRead(parts, place)) continue;
        if (!overlay.isWhole(volume, block) && !parts.zeros.covers(volume, block)) found.add(volume, block);
      }
      unpin();
      await breathe(runtime);
    }
  }
  return found;
}

function canRead({ geometry, map, reader }: PoolParts, place: number): boolean {
  const { slot, stripe, column } = decodePlace(geometry, place);
  return reader.directPosition({ zone: map.zones.zone[slot]!, stripe, column }) >= 0;
}
