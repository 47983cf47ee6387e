/**
 * Replay of a journal: the real reader and the real recovery into a real cache, from a file in the page cache, beside
 * plain reads of the same file. Records of one block (depth 1) and of 64 blocks (many commands of one turn).
 */
import { closeSync, ftruncateSync, mkdtempSync, openSync, readSync, rmSync, writevSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DIST, median } from "./array.mjs";

const MiB = 2 ** 20;
const ID = "0123456789abcdef".repeat(2);
const VOLUME = 1;

const of = (path) => import(join(DIST, path));

export async function measureReplay({ sizes = [16, 64, 256], blocksPerRecord = [1, 64], times = 5 } = {}) {
  const { Journal } = await of("src/journal/journal.js");
  const { replayJournal } = await of("src/volume/recovery.js");
  const { BlockCache } = await of("src/cache/block-cache.js");
  const { FramePool } = await of("src/cache/frame-pool.js");
  const { FrameChunks } = await of("drivers/shared-memory/frame-chunks.js");
  const { createGlobalMemory } = await of("drivers/shared-memory/global-memory.js");
  const { dataChecksum } = await of("drivers/shared-memory/data-checksum.js");
  const { global } = createGlobalMemory({
    directorCount: 1,
    poolCount: 1,
    driveCount: 4,
    poolReachedBy: [[0]],
    frameCount: (384 * MiB) / 4096,
    stagingBytesPerPool: 0,
    mailboxBytes: 4096,
  });
  const frames = new FramePool({
    global,
    chunks: new FrameChunks(global),
    directorIndex: 0,
    directorCount: 1,
    dirtyPercentMax: 90,
  });
  const block = new Uint8Array(4096).fill(7);
  const crc = dataChecksum(block);
  const journalOf = (file, epoch) =>
    new Journal({ file, identity: ID, epoch, onFailure: (error) => process.stderr.write(`${error}\n`), onProgress: () => {} });

  const points = [];
  for (const mebibytes of sizes) {
    for (const blocks of blocksPerRecord) {
      const folder = mkdtempSync(join(tmpdir(), "varray-replay-"));
      const path = join(folder, "journal");
      const file = plainFile(path, (mebibytes + 32) * MiB);
      try {
        await Journal.format(file, ID, 1);
        const written = journalOf(file, 1);
        const total = Math.min((mebibytes * MiB) / 4096, 65_000 * blocks);
        for (let n = 0; n < total; n += blocks) {
          for (let m = 0; m < blocks; m++) {
            written.record.addWrite({ volume: VOLUME, block: n + m, nexus: 0, initiatorTaskTag: n, mask: 0xff, crc });
            written.record.addPayload(block);
          }
          written.commit();
        }
        const rates = [];
        const raw = [];
        for (let time = 0; time < times; time++) {
          const cache = new BlockCache(frames);
          const journal = journalOf(file, 1);
          const parts = {
            journal,
            cache,
            frames,
            name: "A",
            volumes: new Map([[VOLUME, {}]]),
            runtime: { raise: () => {} },
            health: { failed: false },
          };
          let began = performance.now();
          await replayJournal(parts, { press: () => {} });
          rates.push(total / 256 / ((performance.now() - began) / 1000));
          if (cache.dirtyCount !== total) throw new Error(`${cache.dirtyCount} of ${total} blocks were replayed`);
          cache.clear();
          began = performance.now();
          readAll(path, total * 4096);
          raw.push(total / 256 / ((performance.now() - began) / 1000));
        }
        points.push({
          mebibytes: total / 256,
          blocksPerRecord: blocks,
          replayMiBPerSecond: median(rates),
          rawMiBPerSecond: median(raw),
        });
        process.stderr.write(`replay ${JSON.stringify(points.at(-1))}\n`);
      } finally {
        file.close();
        rmSync(folder, { recursive: true, force: true });
      }
    }
  }
  return points;
}

/** The journal's file without its sync thread: what is measured only reads. */
function plainFile(path, bytes) {
  const descriptor = openSync(path, "w+");
  ftruncateSync(descriptor, bytes);
  return {
    bytes,
    write: (position, buffers) => void writevSync(descriptor, buffers, position),
    read: (position, target) => readSync(descriptor, target, 0, target.byteLength, position),
    sync: (done) => setImmediate(done, undefined),
    close: () => closeSync(descriptor),
  };
}

function readAll(path, bytes) {
  const descriptor = openSync(path, "r");
  const piece = Buffer.alloc(MiB);
  for (let at = 0; at < bytes; at += MiB) readSync(descriptor, piece, 0, MiB, at);
  closeSync(descriptor);
}
