/**
 * What the drives can take at best: four LevelDB databases of one process fill zones in rising key order, `sync: true`,
 * with strips and batches of the product's size, and with nothing above them. A process of its own:
 *
 *   UV_THREADPOOL_SIZE=16 node dist/bench/raw/zone-fill.js FOLDER SECONDS      → {"bytesPerSecond":…}
 *
 * Parity is not among it: an array of 3+1 has three quarters of that for its hosts.
 */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { Level } from "level";

const MIB = 2 ** 20;
const DRIVES = 4;
const STRIP_BYTES = 32 * 1024 + 256; // eight blocks and their tags
const STRIPS_PER_BATCH = 32; // 1 MiB
const ZONE_BYTES = 128 * MIB;
/** Before the clock starts: the first zones' folders, the first write buffers. */
const WARM_SECONDS = 1;

type Zone = Level<Buffer, Uint8Array>;

const [folder, seconds] = [process.argv[2]!, Number(process.argv[3])];
const data = Buffer.alloc(4 * MIB, Buffer.from(crypto.getRandomValues(new Uint8Array(65_521))));
let writtenBytes = 0;
let stopping = false;

const drives = Array.from({ length: DRIVES }, (_, drive) => fill(drive));
await pause(WARM_SECONDS);
const [began, before] = [performance.now(), writtenBytes];
await pause(seconds);
const bytesPerSecond = (writtenBytes - before) / ((performance.now() - began) / 1000);
stopping = true;
await Promise.all(drives);
process.stdout.write(`${JSON.stringify({ bytesPerSecond })}\n`);

async function fill(drive: number): Promise<void> {
  for (let zone = 0; !stopping; zone++) {
    const database = await openZone(join(folder, `${drive}`, `${zone}`));
    for (let strip = 0; !stopping && strip * STRIP_BYTES < ZONE_BYTES; strip += STRIPS_PER_BATCH) {
      await database.batch(
        Array.from({ length: STRIPS_PER_BATCH }, (_, n) => put(strip + n)),
        { sync: true },
      );
      writtenBytes += STRIPS_PER_BATCH * STRIP_BYTES;
    }
    await database.close();
  }
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

function put(strip: number) {
  const key = Buffer.alloc(4);
  key.writeUInt32BE(strip);
  const at = (strip * 4099) % (data.length - STRIP_BYTES);
  return { type: "put", key, value: data.subarray(at, at + STRIP_BYTES) } as const;
}

function pause(secondsLong: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, secondsLong * 1000));
}
