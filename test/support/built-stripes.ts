/** Stripes of any RAID level in global memory, built as the product builds them, and laid out drive by drive. */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { createGlobalMemory, type GlobalMemory, type GlobalMemoryTransfer } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES } from "../../drivers/shared-memory/layout.ts";
import { type GroupGeometry, groupGeometry } from "../../src/raid/geometry.ts";
import type { RaidShape } from "../../src/raid/raid-level.ts";
import { unreadableChecksum } from "../../src/raid/strip.ts";
import { StripeBatch } from "../../src/raid/stripe-batch.ts";
import { buildStripe, stripAddress } from "../../src/raid/stripe-builder.ts";
import { SCRATCH_STRIPS, type StripesJob } from "../../src/raid/stripes-job.ts";

const ZONE = 9;
const FIRST_STRIPE = 5;
const BLOCKS_PER_STRIP = 2;
/** A block that was written as one that can't be read. */
const UNREADABLE_ITEM = 3;

export interface BuiltStripes {
  readonly geometry: GroupGeometry;
  readonly global: GlobalMemory;
  readonly transfer: GlobalMemoryTransfer;
  readonly job: StripesJob;
  /** Memory of the job's drives as it was built, by position. */
  readonly original: readonly Buffer[];
  /** What the drive at a position has now. */
  drive(position: number): Buffer;
  strip(position: number, n: number): Buffer;
  /** Everything as it was built. */
  reset(): void;
}

export function builtStripes(shape: RaidShape, count = 3): BuiltStripes {
  const geometry = groupGeometry({ ...shape, blocksPerStrip: BLOCKS_PER_STRIP, stripesPerZone: 64, zoneSlots: 2 });
  const { level } = geometry;
  const { stripBytes } = geometry.shape;
  const driveBytes = count * stripBytes;
  const bytes = (2 * geometry.driveCount + 1) * driveBytes + SCRATCH_STRIPS * stripBytes;
  const items = count * geometry.blocksPerStripe - 1;
  const { global, transfer } = createGlobalMemory({
    ...{ directorCount: 1, poolCount: 0, driveCount: 0, poolReachedBy: [], stagingBytesPerPool: 0, mailboxBytes: 0 },
    frameCount: items + Math.ceil(bytes / FRAME_BYTES),
  });
  const batch = new StripeBatch(items);
  for (let item = 0; item < items; item++) {
    const source = global.layout.frames + item * FRAME_BYTES;
    const content = new Uint8Array(FRAME_BYTES).map((_, n) => (item * 41 + n * 7 + (n >> 8)) & 0xff);
    global.u8.set(content, source);
    const crc = item === UNREADABLE_ITEM ? unreadableChecksum(dataChecksum(content)) : dataChecksum(content);
    batch.add({ volume: 7, block: 100 + item, crc, source, frame: -1, from: 0 });
  }
  const staged = global.layout.frames + items * FRAME_BYTES;
  const run = { slot: 0, zone: ZONE, firstStripe: FIRST_STRIPE, stripeCount: count };
  for (let n = 0; n < count; n++) buildStripe({ global, geometry, batch, firstItem: 0, run, base: staged, stripesMax: count }, n);
  const drives = staged + geometry.driveCount * driveBytes;
  const strips = Array.from({ length: level.driveCount }, (_, position) => drives + position * driveBytes);
  for (const [position, at] of strips.entries())
    global.kernels.copy(at, stripAddress(geometry, staged, count, position, 0), driveBytes);
  const drive = (position: number): Buffer => global.view(strips[position]!, driveBytes);
  const original = strips.map((_, position) => Buffer.from(drive(position)));
  return {
    geometry,
    global,
    transfer,
    job: {
      raid: level.config,
      blocksPerStrip: BLOCKS_PER_STRIP,
      zone: ZONE,
      firstStripe: FIRST_STRIPE,
      count,
      strips,
      scratch: drives + level.driveCount * driveBytes,
    },
    original,
    drive,
    strip: (position, n) => global.view(strips[position]! + n * stripBytes, stripBytes),
    reset: () => original.forEach((bytesOf, position) => void drive(position).set(bytesOf)),
  };
}
