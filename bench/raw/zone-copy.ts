/**
 * What copying drives can take at best: LevelDB databases with strips, batches and zones of the product's size, copied from one
 * drive to another (a rebuild has to read more), and four drives read at once (as a scrub does). Nothing above them, nothing
 * checked. A process of its own:
 *
 *   UV_THREADPOOL_SIZE=16 node dist/bench/raw/zone-copy.js FOLDER MIB_PER_DRIVE      → {"copyBytesPerSecond":…,"readBytesPerSecond":…}
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Level } from "level";

const MIB = 2 ** 20;
const DRIVES = 4;
const STRIP_BYTES = 32 * 1024 + 8 * 32 + 64; // eight blocks, their tags, a header
const STRIPS_PER_BATCH = 12; // as the product's staging takes them with 3+1
const ZONE_BYTES = 128 * MIB;

type Zone = Level<Buffer, Uint8Array>;

const [folder, mebibytes] = [process.argv[2]!, Number(process.argv[3])];
const zones = Math.ceil((mebibytes * MIB) / ZONE_BYTES);
const stripsPerZone = Math.floor(ZONE_BYTES / STRIP_BYTES);
const data = Buffer.alloc(4 * MIB, Buffer.from(crypto.getRandomValues(new Uint8Array(65_521))));

await Promise.all(Array.from({ length: DRIVES }, (_, drive) => each(drive, (zone) => fill(zone))));
const totalBytes = zones * stripsPerZone * STRIP_BYTES;
const copySeconds = await timed(() => each(0, (zone, number) => copy(zone, number)));
const readSeconds = await timed(() =>
  Promise.all(Array.from({ length: DRIVES }, (_, drive) => each(drive, (zone) => read(zone, async () => {})))),
);
const copyBytesPerSecond = totalBytes / copySeconds;
const readBytesPerSecond = (DRIVES * totalBytes) / readSeconds;
process.stdout.write(`${JSON.stringify({ copyBytesPerSecond, readBytesPerSecond })}\n`);

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return (performance.now() - began) / 1000;
}

async function each(drive: number, work: (zone: Zone, number: number) => Promise<void>): Promise<void> {
  for (let number = 0; number < zones; number++) {
    const zone = await openZone(join(folder, `${drive}`, `${number}`));
    await work(zone, number);
    await zone.close();
  }
}

async function fill(zone: Zone): Promise<void> {
  for (let strip = 0; strip < stripsPerZone; strip += 2 * STRIPS_PER_BATCH) {
    const values = Array.from({ length: Math.min(2 * STRIPS_PER_BATCH, stripsPerZone - strip) }, (_, n) => {
      const at = ((strip + n) * 4099) % (data.length - STRIP_BYTES);
      return data.subarray(at, at + STRIP_BYTES);
    });
    await write(zone, strip, values);
  }
}

/** The next strips are read while these are written. */
async function copy(from: Zone, number: number): Promise<void> {
  const to = await openZone(join(folder, "copy", `${number}`));
  let writing = Promise.resolve();
  await read(from, async (strip, values) => {
    await writing;
    writing = write(to, strip, values);
  });
  await writing;
  await to.close();
}

async function read(zone: Zone, take: (strip: number, values: readonly Uint8Array[]) => Promise<void>): Promise<void> {
  for (let strip = 0; strip < stripsPerZone; strip += STRIPS_PER_BATCH) {
    const keys = Array.from({ length: Math.min(STRIPS_PER_BATCH, stripsPerZone - strip) }, (_, n) => key(strip + n));
    await take(strip, (await zone.getMany(keys)) as Uint8Array[]);
  }
}

function write(zone: Zone, strip: number, values: readonly Uint8Array[]): Promise<void> {
  return zone.batch(
    values.map((value, n) => ({ type: "put" as const, key: key(strip + n), value })),
    { sync: true },
  );
}

async function openZone(path: string): Promise<Zone> {
  mkdirSync(path, { recursive: true });
  const database: Zone = new Level(path, {
    ...{ keyEncoding: "buffer", valueEncoding: "view", compression: false },
    ...{ writeBufferSize: 2 * MIB, cacheSize: 16_384, maxOpenFiles: 138 },
  });
  await database.open();
  return database;
}

function key(strip: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(strip);
  return bytes;
}
