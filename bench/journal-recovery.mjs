/**
 * How fast a full journal is read back at a restart, against reading the same bytes raw; from the page cache, and cold.
 *
 * `npm run build && node bench/journal-recovery.mjs [FOLDER] [MEBIBYTES]`. Needs `dd` for the cold runs (its `nocache` drops
 * a file's pages). Recovery here is what a pool does but for its index: every record found, every checksum proved, every
 * block put into a frame. Medians; nothing is asserted.
 */
import { spawnSync } from "node:child_process";
import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, rmSync, writeSync, writevSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const dist = new URL("../dist/", import.meta.url);
const load = (path) => import(new URL(path, dist).href);
const [{ Journal }, { createGlobalMemory }, { dataChecksum }] = await Promise.all(
  ["src/journal/journal.js", "drivers/shared-memory/global-memory.js", "drivers/shared-memory/data-checksum.js"].map(load),
);

const FRAME = 4096;
const FRAMES = 4096;
const RUNS = 3;
const CHUNK = 1024 * 1024;
const folder = process.argv[2] ?? tmpdir();
const bytes = Number(process.argv[3] ?? 256) * 2 ** 20;
const path = join(folder, `journal-recovery-${process.pid}`);

const { global } = createGlobalMemory({
  directorCount: 1,
  poolCount: 1,
  driveCount: 1,
  poolReachedBy: [[0]],
  frameCount: FRAMES,
  stagingBytesPerPool: 65_536,
  mailboxBytes: 4096,
});
const views = Array.from({ length: FRAMES }, (_, n) => global.view(global.layout.frames + n * FRAME, FRAME));

class PlainFile {
  constructor() {
    this.bytes = bytes;
    this.descriptor = openSync(path, "r+");
  }
  write(position, buffers) {
    writevSync(this.descriptor, buffers, position);
  }
  read(position, target) {
    return readSync(this.descriptor, target, 0, Math.min(target.length, Math.max(0, this.bytes - position)), position);
  }
  sync(done) {
    fdatasyncSync(this.descriptor);
    queueMicrotask(() => done(undefined));
  }
  async close() {
    closeSync(this.descriptor);
  }
}

function journalOn(file, epoch) {
  return new Journal({
    file,
    identity: "0123456789abcdef0123456789abcdef",
    epoch,
    onFailure: (error) => {
      throw error;
    },
    onProgress: () => undefined,
    runtime: { reached: () => undefined },
    reached: () => undefined,
  });
}

/** @param blocksOf - blocks of the nth record */
async function fill(blocksOf) {
  const descriptor = openSync(path, "w");
  const zeros = Buffer.alloc(CHUNK);
  for (let at = 0; at < bytes; at += CHUNK) writeSync(descriptor, zeros, 0, CHUNK, at);
  fsyncSync(descriptor);
  closeSync(descriptor);
  const file = new PlainFile();
  await Journal.format(file, "0123456789abcdef0123456789abcdef", 1);
  const journal = journalOn(file, 1);
  await journal.recover(
    () => true,
    async () => undefined,
  );
  views.forEach((view, n) => void view.fill(n * 7 + 1));
  const crcs = views.map((view) => dataChecksum(view));
  let block = 0;
  for (let record = 0; ; record++) {
    const count = blocksOf(record);
    if (!journal.fits(count, count)) break;
    for (let n = 0; n < count; n++, block++) {
      const frame = block % FRAMES;
      const entry = { volume: 1, block, nexus: 0, initiatorTaskTag: 0, request: 0, director: 0, mask: 0xff, crc: crcs[frame] };
      journal.record.addWrite(entry);
      journal.record.addPayload(views[frame]);
    }
    journal.commit();
  }
  fdatasyncSync(file.descriptor);
  await file.close();
}

function drop() {
  const { status, stderr } = spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0"]);
  if (status !== 0) throw new Error(`dd: ${stderr}`);
}

function raw() {
  const descriptor = openSync(path, "r");
  const target = Buffer.allocUnsafeSlow(CHUNK);
  const began = performance.now();
  for (let at = 0; at < bytes; at += CHUNK) readSync(descriptor, target, 0, CHUNK, at);
  const milliseconds = performance.now() - began;
  closeSync(descriptor);
  return bytes / milliseconds / 1e6;
}

async function recovery() {
  const file = new PlainFile();
  const journal = journalOn(file, 2);
  const scratch = Buffer.alloc(FRAME);
  let frame = 0;
  const began = performance.now();
  const { bytes: recovered } = await journal.recover(
    (entry) => {
      const view = journal.viewPayload(entry.payloadPosition, FRAME);
      if (view === undefined) journal.readPayload(entry.payloadPosition, scratch);
      return dataChecksum(view ?? scratch) === entry.crc;
    },
    async (record) => {
      for (const entry of record.entries) journal.readPayload(entry.payloadPosition, views[frame++ % FRAMES]);
    },
  );
  const milliseconds = performance.now() - began;
  await file.close();
  if (recovered < bytes * 0.9) throw new Error(`only ${recovered} bytes were recovered`);
  return recovered / milliseconds / 1e6;
}

function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}

const LOADS = { "records of 1 block": () => 1, "of 1 to 32 blocks": (n) => 1 + ((n * 13) % 32), "of 256 blocks": () => 256 };
console.log("GB/s".padEnd(24), "raw".padStart(7), "recovery".padStart(9), "share".padStart(6), " | cold:  raw  recovery  share");
try {
  for (const [name, blocksOf] of Object.entries(LOADS)) {
    await fill(blocksOf);
    const figures = { raw: [], recovery: [], coldRaw: [], coldRecovery: [] };
    for (let run = 0; run < RUNS; run++) {
      figures.raw.push(raw());
      figures.recovery.push(await recovery());
      drop();
      figures.coldRaw.push(raw());
      drop();
      figures.coldRecovery.push(await recovery());
    }
    const [a, b, c, d] = Object.values(figures).map(median);
    console.log(
      name.padEnd(24),
      a.toFixed(2).padStart(7),
      b.toFixed(2).padStart(9),
      (b / a).toFixed(2).padStart(6),
      " |      ",
      c.toFixed(2).padStart(5),
      d.toFixed(2).padStart(9),
      (d / c).toFixed(2).padStart(6),
    );
  }
} finally {
  rmSync(path, { force: true });
}
