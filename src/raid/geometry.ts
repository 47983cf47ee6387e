/**
 * Where things lie in a RAID group: stripes on drives, blocks in stripes, and the number that stands for a place.
 *
 * A place on the drives is one unsigned 32-bit number, so that a map page is a plain Uint32Array:
 *
 *   place = 1 + ((slot × stripesPerZone + stripe) × dataDrives + column) × blocksPerStrip + index
 *
 * `slot` numbers the zones that may exist at one time (the zone table says which zone fills a slot), `column` the data
 * strips of a stripe, `index` the block in its strip. 0 means: not mapped. 2^32 places of 4 KiB are 16 TiB for a pool.
 */
import { type StripShape, stripShape } from "./strip.ts";

export const NOT_MAPPED = 0;

export interface GroupGeometry {
  readonly dataDrives: number;
  /** Data drives and parity. */
  readonly driveCount: number;
  readonly shape: StripShape;
  readonly stripesPerZone: number;
  readonly zoneSlots: number;
  readonly blocksPerStripe: number;
  readonly blocksPerZone: number;
}

export function groupGeometry(options: {
  dataDrives: number;
  blocksPerStrip: number;
  stripesPerZone: number;
  zoneSlots: number;
}): GroupGeometry {
  const { dataDrives, blocksPerStrip, stripesPerZone, zoneSlots } = options;
  const blocksPerStripe = dataDrives * blocksPerStrip;
  const places = zoneSlots * stripesPerZone * blocksPerStripe;
  if (places >= 2 ** 32)
    throw new RangeError(`a pool has at most 2^32 places of 4 KiB (16 TiB); these drives would make ${places}`);
  return {
    dataDrives,
    driveCount: dataDrives + 1,
    shape: stripShape(blocksPerStrip),
    stripesPerZone,
    zoneSlots,
    blocksPerStripe,
    blocksPerZone: stripesPerZone * blocksPerStripe,
  };
}

/** RAID-5, left-symmetric: parity moves one drive to the left with each stripe, data follow it round. */
export function parityPosition(geometry: GroupGeometry, stripe: number): number {
  return geometry.driveCount - 1 - (stripe % geometry.driveCount);
}

export function columnPosition(geometry: GroupGeometry, stripe: number, column: number): number {
  return (parityPosition(geometry, stripe) + 1 + column) % geometry.driveCount;
}

/** The column that a drive holds in a stripe, or −1 when it holds the parity. */
export function columnOfPosition(geometry: GroupGeometry, stripe: number, position: number): number {
  const { driveCount } = geometry;
  const distance = (position - parityPosition(geometry, stripe) + driveCount) % driveCount;
  return distance - 1;
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
