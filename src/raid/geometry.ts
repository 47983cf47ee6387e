/**
 * Where things lie in a RAID group: stripes on drives, blocks in stripes, and the number that stands for a place.
 *
 * A place on the drives is one unsigned 32-bit number, so that a map page is a plain Uint32Array:
 *
 *   place = 1 + ((slot × stripesPerZone + stripe) × dataDrives + column) × blocksPerStrip + index
 *
 * `slot` numbers the zones that may exist at one time (the zone table says which zone fills a slot), `column` the data
 * strips of a stripe, `index` the block in its strip. 0 means: not mapped. 2^32 places of 4 KiB are 16 TiB for a pool.
 * Which drive holds a column is its RAID level's to say (raid-level.ts). The highest number means: lost, beyond what
 * redundancy makes good; such a block has no place, and is no longer looked for.
 */
import type { RaidLevel, RaidShape } from "./raid-level.ts";
import { raidLevel } from "./raid-levels.ts";
import { type StripPlace, type StripShape, stripShape } from "./strip.ts";

export const NOT_MAPPED = 0;
export const LOST_PLACE = 2 ** 32 - 1;

/** Whether the number stands for a place on the drives. */
export function isPlace(place: number): boolean {
  return place > NOT_MAPPED && place < LOST_PLACE;
}

export interface GroupGeometry {
  readonly level: RaidLevel;
  /** Strips of data in a stripe. */
  readonly dataDrives: number;
  /** All that hold a strip of each stripe: data, their copies, parity. */
  readonly driveCount: number;
  /** Strips of a stripe that differ: data and parity, without further copies. */
  readonly stripCount: number;
  readonly shape: StripShape;
  readonly stripesPerZone: number;
  readonly zoneSlots: number;
  readonly blocksPerStripe: number;
  readonly blocksPerZone: number;
}

export function groupGeometry(
  options: RaidShape & { readonly blocksPerStrip: number; readonly stripesPerZone: number; readonly zoneSlots: number },
): GroupGeometry {
  const { dataDrives, blocksPerStrip, stripesPerZone, zoneSlots } = options;
  const level = raidLevel(options);
  const blocksPerStripe = dataDrives * blocksPerStrip;
  const places = zoneSlots * stripesPerZone * blocksPerStripe;
  if (places >= LOST_PLACE)
    throw new RangeError(`a pool has at most 2^32 places of 4 KiB (16 TiB); these drives would make ${places}`);
  return {
    level,
    dataDrives,
    driveCount: level.driveCount,
    stripCount: level.roles.length,
    shape: stripShape(blocksPerStrip),
    stripesPerZone,
    zoneSlots,
    blocksPerStripe,
    blocksPerZone: stripesPerZone * blocksPerStripe,
  };
}

/** What a strip's header is to say. Copies are the same bytes: theirs names the first copy's position. */
export function stripPlace({ level }: GroupGeometry, zone: number, stripe: number, role: number): StripPlace {
  return { zone, stripe, position: level.positionOf(stripe, role, 0), role };
}

export interface Place {
  slot: number;
  stripe: number;
  column: number;
  index: number;
}

export function placeOf(geometry: GroupGeometry, at: Place): number {
  const { shape, dataDrives, stripesPerZone } = geometry;
  return 1 + ((at.slot * stripesPerZone + at.stripe) * dataDrives + at.column) * shape.blocksPerStrip + at.index;
}

export function decodePlace(geometry: GroupGeometry, place: number): Place {
  const { shape, dataDrives, stripesPerZone } = geometry;
  let rest = place - 1;
  const index = rest % shape.blocksPerStrip;
  rest = (rest - index) / shape.blocksPerStrip;
  const column = rest % dataDrives;
  rest = (rest - column) / dataDrives;
  const stripe = rest % stripesPerZone;
  return { slot: (rest - stripe) / stripesPerZone, stripe, column, index };
}

export function slotOfPlace(geometry: GroupGeometry, place: number): number {
  return Math.floor((place - 1) / geometry.blocksPerZone);
}
