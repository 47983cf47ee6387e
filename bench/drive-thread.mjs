/**
 * What one pool's drive thread gives a director: four LevelDB drives, stripes of four strips, reads at several depths.
 *
 *   npm run build && UV_THREADPOOL_SIZE=16 node bench/drive-thread.mjs [strip KiB] [MiB to write]
 */
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Worker } from "node:worker_threads";

const { createGlobalMemory } = await import("../dist/drivers/shared-memory/global-memory.js");
const { EventLoopDoorbell } = await import("../dist/drivers/shared-memory/doorbell.js");
const { DriveChannel } = await import("../dist/drivers/drive/drive-channel.js");
const { RemoteDrive } = await import("../dist/drivers/drive/remote-drive.js");

const MIB = 2 ** 20;
const stripKiB = Number(process.argv[2] ?? 64);
const totalMiB = Number(process.argv[3] ?? 1024);
const stripBytes = stripKiB * 1024 * (1 + 1 / 128);
const stripsPerZone = Math.floor((64 * MIB) / stripBytes);
const stripsPerWrite = Math.max(1, Math.floor(MIB / stripBytes));
const root = mkdtempSync(join(tmpdir(), "varray-thread-"));
const { global, transfer } = createGlobalMemory({
  ...{ directorCount: 1, poolCount: 1, driveCount: 4, poolReachedBy: [[0]], frameCount: 256 },
  ...{ stagingBytesPerPool: 64 * MIB, mailboxBytes: MIB },
});
const channel = new DriveChannel(global, { pool: 0, director: 0 });
const doorbell = new EventLoopDoorbell(global, 0);
doorbell.consume(() => channel.drain());
const geometry = { capacityBytes: 16 * 1024 * MIB, stripBytes, stripsPerZone, zoneCount: 256 };
const specs = [0, 1, 2, 3].map((index) => ({
  ...{ driveIndex: index, driveNumber: index, name: `d${index}`, folder: join(root, `d${index}`) },
  format: { driveId: `d${index}`, geometry },
}));
const worker = new Worker(new URL("../dist/drivers/drive/drive.worker.js", import.meta.url), {
  workerData: { transfer, pool: 0, drives: specs },
});
await new Promise((resolve) => worker.once("message", resolve));
const drives = specs.map(({ name, driveIndex }) => new RemoteDrive(channel, { name, driveIndex }));
for (const drive of drives) await drive.open(1);

const staging = global.layout.staging[0];
for (let at = staging; at < staging + 64 * MIB; at += 4) global.i32[at >> 2] = Math.random() * 2 ** 32;
const anonymousMiB = () => Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
const quietMiB = anonymousMiB();
const memory = (when) =>
  console.log(`RssAnon ${when}: ${(anonymousMiB() - quietMiB).toFixed(0)} MiB more than before the first write`);
const times = [];
let zone = 0;
const began = performance.now();
let written = 0;
const inFlight = new Set();
for (zone = 1; written < totalMiB * MIB; zone++) {
  await Promise.all(drives.map((drive) => drive.createZone(zone)));
  for (let strip = 0; strip + stripsPerWrite <= stripsPerZone; strip += stripsPerWrite) {
    // Two stripe batches in flight: the next is copied while the one before is synced.
    if (inFlight.size >= 2) await Promise.race(inFlight);
    const start = performance.now();
    const batch = Promise.all(
      drives.map((drive, index) =>
        drive.writeStrips({
          zone,
          firstStrip: strip,
          count: stripsPerWrite,
          address: staging + index * 2 * MIB,
          strideBytes: stripBytes,
        }),
      ),
    ).then(() => {
      times.push(performance.now() - start);
      inFlight.delete(batch);
    });
    inFlight.add(batch);
    written += 4 * stripsPerWrite * stripBytes;
  }
  await Promise.all(inFlight);
  await Promise.all(drives.map((drive) => drive.finishZone(zone)));
}
const seconds = (performance.now() - began) / 1000;
times.sort((a, b) => a - b);
const at = (p) => times[Math.min(times.length - 1, Math.floor(times.length * p))].toFixed(1);
console.log(
  `${stripKiB} KiB strips, four drives: ${(written / 1e6 / seconds).toFixed(0)} MB/s written, stripe batches ${at(0.5)} / ${at(0.99)} / ${at(1)} ms (p50 / p99 / worst)`,
);

memory("after writing");
const strips = Math.floor(stripsPerZone / stripsPerWrite) * stripsPerWrite;
for (const depth of [1, 8, 32]) {
  const readTimes = [];
  const until = performance.now() + 3000;
  const reader = async (slot) => {
    while (performance.now() < until) {
      const start = performance.now();
      const read = { zone: 1 + Math.floor(Math.random() * (zone - 1)), firstStrip: Math.floor(Math.random() * strips), count: 1 };
      await drives[Math.floor(Math.random() * 4)].readStrips({
        ...read,
        address: staging + 16 * MIB + slot * MIB,
        strideBytes: stripBytes,
      });
      readTimes.push(performance.now() - start);
    }
  };
  await Promise.all(Array.from({ length: depth }, (_, slot) => reader(slot)));
  readTimes.sort((a, b) => a - b);
  const micro = (p) => (readTimes[Math.floor(readTimes.length * p)] * 1000).toFixed(0);
  console.log(
    `random strip reads, depth ${depth}: ${(readTimes.length / 3000).toFixed(1)}k/s, p50 ${micro(0.5)} µs, p99 ${micro(0.99)} µs`,
  );
}
memory("after reading");
worker.postMessage({ type: "stop" });
await new Promise((resolve) => worker.once("exit", resolve));
channel.close();
doorbell.stop();
rmSync(root, { recursive: true });
