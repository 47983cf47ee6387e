/** What destage does on the director's thread for a batch: the oldest dirty blocks found, stripes put together. */
import { groupGeometry } from "../../dist/src/raid/geometry.js";
import { StripeBatch } from "../../dist/src/raid/stripe-batch.js";
import { buildStripe } from "../../dist/src/raid/stripe-builder.js";
import { MASK_FULL, makeCache, makeMemory, randomNumbers, VOLUME } from "./memory.mjs";

const STRIPES = 16;
const FRAME_BYTES = 4096;
const NOT_MAPPED = 0;

export function cases() {
  const geometry = groupGeometry({ dataDrives: 3, blocksPerStrip: 8, stripesPerZone: 512, zoneSlots: 64 });
  const blocks = STRIPES * geometry.blocksPerStripe;
  return [
    { name: `destage: ${blocks} oldest dirty blocks put in order`, batch: blocks, run: pick(blocks) },
    { name: "destage: stripes built, parity and tags", batch: blocks, bytes: FRAME_BYTES, run: pack(geometry, blocks) },
  ];
}

/** As the destager picks: the dirty list from its head, neighbours together. */
function pick(count) {
  const { cache, frames } = makeCache(16_384);
  const draws = randomNumbers(1 << 20);
  for (let n = 0; n < 8192; n++) cache.publishDirty(frames.takeInternal(true), VOLUME, draws[n], MASK_FULL, 0, n);
  const batch = new StripeBatch(count);
  return () => {
    const picked = [];
    for (let frame = cache.oldestDirty; frame >= 0 && picked.length < count; frame = cache.nextDirty(frame)) picked.push(frame);
    picked.sort((a, b) => frames.volume[a] - frames.volume[b] || frames.block[a] - frames.block[b]);
    batch.count = 0;
    for (const frame of picked) {
      batch.add({
        volume: frames.volume[frame],
        block: frames.block[frame],
        crc: frames.crc[frame],
        source: frames.addressOf(frame),
        frame,
        from: NOT_MAPPED,
      });
    }
  };
}

function pack(geometry, count) {
  const stagingBytes = geometry.shape.stripBytes * geometry.driveCount * STRIPES;
  const global = makeMemory({ frameCount: 2048, stagingBytes: Math.ceil(stagingBytes / 65_536) * 65_536 });
  const draws = randomNumbers(1024);
  const batch = new StripeBatch(count);
  for (let n = 0; n < count; n++) {
    const source = global.layout.frames + draws[n] * FRAME_BYTES;
    batch.add({ volume: VOLUME, block: n, crc: 0x1234, source, frame: n, from: NOT_MAPPED });
  }
  // Any memory of the size will do for staging: the upper half of the frames.
  const base = global.layout.frames + 1024 * FRAME_BYTES;
  const run = { slot: 0, zone: 1, firstStripe: 0, stripeCount: STRIPES };
  const job = { global, geometry, batch, firstItem: 0, run, base, stripesMax: STRIPES };
  return () => {
    for (let n = 0; n < STRIPES; n++) buildStripe(job, n);
  };
}
