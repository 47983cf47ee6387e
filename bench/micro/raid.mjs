/** RAID levels, by what they do to a strip: stripes built, a drive's strips made anew, stripes verified. */
import { dataChecksum } from "../../dist/drivers/shared-memory/data-checksum.js";
import { groupGeometry } from "../../dist/src/raid/geometry.js";
import { reconstruct } from "../../dist/src/raid/reconstruct.js";
import { StripeBatch } from "../../dist/src/raid/stripe-batch.js";
import { buildStripe, stripAddress } from "../../dist/src/raid/stripe-builder.js";
import { NO_STRIPS } from "../../dist/src/raid/stripes-job.js";
import { verifyStripes } from "../../dist/src/raid/verify-stripes.js";
import { makeMemory, randomNumbers, VOLUME } from "./memory.mjs";

const FRAME_BYTES = 4096;
const SOURCES = 1024;
const SHAPES = [
  { level: 1, dataDrives: 1, copies: 2 },
  { level: 10, dataDrives: 2 },
  { level: 5, dataDrives: 3 },
  { level: 5, dataDrives: 15 },
  { level: 6, dataDrives: 4 },
  { level: 6, dataDrives: 14 },
];

export function cases() {
  return SHAPES.flatMap((shape) => casesOf(shape));
}

function casesOf(shape) {
  const geometry = groupGeometry({ ...shape, blocksPerStrip: 8, stripesPerZone: 512, zoneSlots: 64 });
  const { level } = geometry;
  const { stripBytes, dataBytes } = geometry.shape;
  const stripes = Math.max(4, Math.floor((1.5 * 2 ** 20) / (geometry.stripCount * stripBytes)));
  const driveBytes = stripes * stripBytes;
  const bytes = (geometry.stripCount + level.driveCount) * driveBytes + 2 * stripBytes;
  const global = makeMemory({ frameCount: SOURCES + Math.ceil(bytes / FRAME_BYTES) });
  const blocks = stripes * geometry.blocksPerStripe;
  const batch = new StripeBatch(blocks);
  const draws = randomNumbers(SOURCES);
  for (let n = 0; n < blocks; n++) {
    const source = global.layout.frames + (draws[n % SOURCES] % SOURCES) * FRAME_BYTES;
    batch.add({ volume: VOLUME, block: n, crc: dataChecksum(global.view(source, FRAME_BYTES)), source, frame: n, from: 0 });
  }
  const base = global.layout.frames + SOURCES * FRAME_BYTES;
  const run = { slot: 0, zone: 1, firstStripe: 0, stripeCount: stripes };
  const building = { global, geometry, batch, firstItem: 0, run, base, stripesMax: stripes };
  const build = () => {
    for (let n = 0; n < stripes; n++) buildStripe(building, n);
  };
  build();
  const drives = base + geometry.stripCount * driveBytes;
  const strips = Array.from({ length: level.driveCount }, (_, position) => drives + position * driveBytes);
  for (const [position, at] of strips.entries())
    global.kernels.copy(at, stripAddress(geometry, base, stripes, position, 0), driveBytes);
  const scratch = drives + level.driveCount * driveBytes;
  const job = { raid: level.config, blocksPerStrip: 8, zone: 1, firstStripe: 0, count: stripes, strips, scratch };
  const without = (lost) => ({ ...job, target: 0, strips: strips.map((at, n) => (n > 0 && n < lost ? NO_STRIPS : at)) });
  const made = { batch: stripes, bytes: dataBytes };
  const cases = [
    { name: `${level.label}: data put into stripes`, batch: stripes, bytes: dataBytes * level.dataColumns, run: build },
    { name: `${level.label}: strips made anew, 1 lost`, ...made, run: () => reconstruct(global, without(1)) },
    {
      name: `${level.label}: stripes verified, all their strips`,
      batch: stripes,
      bytes: dataBytes * level.driveCount,
      run: () => verifyStripes(global, job),
    },
  ];
  if (level.parities === 2)
    cases.splice(2, 0, { name: `${level.label}: strips made anew, 2 lost`, ...made, run: () => reconstruct(global, without(2)) });
  return cases;
}
