/**
 * The drive layout experiment: strips in zones, one LevelDB database each, filled and kept full with compaction running.
 *
 *   npm run build && UV_THREADPOOL_SIZE=16 node --expose-gc bench/drive-layout.mjs [seconds per run] [MiB of drive] [crash rounds] [only: 32x64 …]
 *
 * One drive in one thread, as in a drive thread. Blocks of 4 KiB are overwritten at random; strips are filled with them
 * (tags of 1/128 beside), written in `sync: true` batches; the emptiest zone is copied out and removed whole when free
 * zones run short. While a batch is under way random live strips are read by getSync. The crash part kills a child that
 * makes, fills, finishes and removes zones of the product's own LevelDrive (dist/), and checks what it acknowledged.
 */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Level } from "level";

const BLOCK_BYTES = 4096;
const MIB = 2 ** 20;
const BATCH_BYTES = MIB;
const HANDLES_MAX = 64;
const FREE_ZONES_MIN = 2;
const READS_PER_BATCH = 8;
const ZONES_MIN = 24;

const processIo = () => Number(/^write_bytes: (\d+)/m.exec(readFileSync("/proc/self/io", "utf8"))[1]);
const anonymousMiB = () => Number(/^RssAnon:\s+(\d+)/m.exec(readFileSync("/proc/self/status", "utf8"))[1]) / 1024;
const percentile = (sorted, p) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * p))] ?? 0;

class Store {
  constructor(folder, { stripBytes, zoneBytes, driveBytes, fill }) {
    this.folder = folder;
    this.blocksPerStrip = stripBytes / BLOCK_BYTES;
    this.valueBytes = stripBytes + stripBytes / 128;
    this.stripsPerZone = Math.floor(zoneBytes / stripBytes);
    this.zoneCount = Math.floor(driveBytes / zoneBytes);
    this.slotsPerZone = this.stripsPerZone * this.blocksPerStrip;
    this.liveBlocks = Math.floor(this.zoneCount * this.slotsPerZone * fill);
    /** block → slot of the drive (zone place × slots + slot), and back. */
    this.placeOf = new Int32Array(this.liveBlocks).fill(-1);
    this.blockAt = new Int32Array(this.zoneCount * this.slotsPerZone).fill(-1);
    this.live = new Int32Array(this.zoneCount);
    this.free = Array.from({ length: this.zoneCount }, (_, index) => index);
    this.handles = new Map();
    this.sealed = new Set();
    this.generation = 0;
    this.names = new Map();
    this.open = undefined;
    this.memory = new Uint8Array(new SharedArrayBuffer(2 * BATCH_BYTES));
    for (let at = 0; at < this.memory.length; at += 4) this.memory[at] = Math.random() * 256;
    this.batchTimes = [];
    this.hostBytes = 0;
    this.copiedBytes = 0;
    this.reads = 0;
    this.readSeconds = 0;
    this.memoryMiBMax = 0;
    this.stripsPerBatch = Math.max(1, Math.floor(BATCH_BYTES / stripBytes));
  }

  async handle(place) {
    let level = this.handles.get(place);
    if (level !== undefined) {
      this.handles.delete(place);
    } else {
      level = new Level(join(this.folder, this.names.get(place)), {
        ...{ keyEncoding: "view", valueEncoding: "view", compression: false },
        ...{ writeBufferSize: 2 * MIB, cacheSize: 16384, maxOpenFiles: 138 },
      });
      await level.open();
    }
    this.handles.set(place, level);
    if (this.handles.size > HANDLES_MAX) {
      for (const [oldest, other] of this.handles) {
        if (oldest === place || oldest === this.open?.place) continue;
        this.handles.delete(oldest);
        await other.close();
        break;
      }
    }
    return level;
  }

  /** Blocks to write next gather here; a batch goes out when it is full. */
  async append(blocks, count) {
    let done = 0;
    while (done < count) {
      if (this.open === undefined || this.open.strip >= this.stripsPerZone) await this.turnZone();
      const strips = Math.min(
        this.stripsPerBatch,
        this.stripsPerZone - this.open.strip,
        Math.ceil((count - done) / this.blocksPerStrip),
      );
      const { place, strip } = this.open;
      const operations = [];
      for (let index = 0; index < strips; index++) {
        const key = Buffer.alloc(4);
        key.writeUInt32BE(strip + index);
        const at = (index * this.valueBytes) % BATCH_BYTES;
        operations.push({ type: "put", key, value: this.memory.subarray(at, at + this.valueBytes) });
      }
      const level = await this.handle(place);
      const began = performance.now();
      const written = level.batch(operations, { sync: true });
      await this.readSome();
      await written;
      this.batchTimes.push(performance.now() - began);
      const blockCount = Math.min(strips * this.blocksPerStrip, count - done);
      for (let index = 0; index < blockCount; index++)
        this.mapBlock(blocks[done + index], place, strip * this.blocksPerStrip + index);
      this.open.strip += strips;
      done += blockCount;
    }
  }

  mapBlock(block, place, slot) {
    const old = this.placeOf[block];
    if (old >= 0) {
      this.blockAt[old] = -1;
      this.live[Math.floor(old / this.slotsPerZone)] -= 1;
    }
    const at = place * this.slotsPerZone + slot;
    this.placeOf[block] = at;
    this.blockAt[at] = block;
    this.live[place] += 1;
  }

  async turnZone() {
    if (this.open !== undefined) {
      this.sealed.add(this.open.place);
      const level = this.handles.get(this.open.place);
      this.handles.delete(this.open.place);
      await level?.close();
    }
    const place = this.free.shift();
    this.names.set(place, String(this.generation++).padStart(8, "0"));
    this.open = { place, strip: 0 };
  }

  /** Copies out the emptiest zones until enough are free. */
  async compact() {
    while (this.free.length < FREE_ZONES_MIN) {
      let victim = -1;
      for (const place of this.sealed) if (victim < 0 || this.live[place] < this.live[victim]) victim = place;
      if (victim < 0 || this.live[victim] > 0.98 * this.slotsPerZone)
        throw new Error("the drive is too small for zones of this size");
      const blocks = [];
      const from = victim * this.slotsPerZone;
      const level = await this.handle(victim);
      const key = Buffer.alloc(4);
      for (let strip = 0; strip < this.stripsPerZone; strip++) {
        const before = blocks.length;
        for (let slot = strip * this.blocksPerStrip; slot < (strip + 1) * this.blocksPerStrip; slot++) {
          if (this.blockAt[from + slot] >= 0) blocks.push(this.blockAt[from + slot]);
        }
        key.writeUInt32BE(strip);
        if (blocks.length > before) level.getSync(key, { fillCache: false })?.copy(this.memory, 0);
      }
      this.copiedBytes += blocks.length * BLOCK_BYTES;
      await this.append(blocks, blocks.length);
      this.sealed.delete(victim);
      this.handles.delete(victim);
      await level.close();
      rmSync(join(this.folder, this.names.get(victim)), { recursive: true });
      this.free.push(victim);
    }
  }

  async readSome() {
    const key = Buffer.alloc(4);
    if (!this.measureReads) return;
    for (let count = 0; count < READS_PER_BATCH; count++) {
      const at = this.placeOf[Math.floor(Math.random() * this.liveBlocks)];
      if (at < 0) continue;
      const place = Math.floor(at / this.slotsPerZone);
      const level = await this.handle(place);
      const began = performance.now();
      key.writeUInt32BE(Math.floor((at % this.slotsPerZone) / this.blocksPerStrip));
      const value = level.getSync(key, { fillCache: false });
      if (value === undefined) throw new Error(`strip of zone ${place} is not there`);
      value.copy(this.memory, 0);
      this.readSeconds += (performance.now() - began) / 1000;
      this.reads += 1;
    }
  }

  async write(blocks, count) {
    if (this.free.length < FREE_ZONES_MIN) await this.compact();
    await this.append(blocks, count);
    this.hostBytes += count * BLOCK_BYTES;
    if (this.batchTimes.length % 64 === 0) this.memoryMiBMax = Math.max(this.memoryMiBMax, anonymousMiB());
  }

  async close() {
    for (const level of this.handles.values()) await level.close();
  }
}

async function run({ stripKiB, zoneMiB, driveMiB, fill, seconds }) {
  const folder = mkdtempSync(join(tmpdir(), "varray-layout-"));
  const shape = { stripBytes: stripKiB * 1024, zoneBytes: zoneMiB * MIB, driveBytes: driveMiB * MIB, fill };
  const store = new Store(folder, shape);
  const perBatch = BATCH_BYTES / BLOCK_BYTES;
  const blocks = new Int32Array(perBatch);
  let began = performance.now();
  for (let next = 0; next < store.liveBlocks; next += perBatch) {
    const count = Math.min(perBatch, store.liveBlocks - next);
    for (let index = 0; index < count; index++) blocks[index] = next + index;
    await store.write(blocks, count);
  }
  const fillMBs = store.hostBytes / 1e6 / ((performance.now() - began) / 1000);
  Object.assign(store, { hostBytes: 0, copiedBytes: 0, batchTimes: [], measureReads: true });
  const writtenBefore = processIo();
  began = performance.now();
  while (performance.now() - began < seconds * 1000) {
    for (let index = 0; index < perBatch; index++) blocks[index] = Math.random() * store.liveBlocks;
    await store.write(blocks, perBatch);
  }
  const elapsed = (performance.now() - began) / 1000;
  const written = processIo() - writtenBefore;
  await store.close();
  rmSync(folder, { recursive: true });
  const times = store.batchTimes.sort((a, b) => a - b);
  const moved = store.hostBytes + store.copiedBytes;
  const line = [
    `${stripKiB} KiB`,
    `${zoneMiB} MiB`,
    `${fill * 100} %`,
    fillMBs.toFixed(0),
    (store.hostBytes / 1e6 / elapsed).toFixed(0),
    (moved / 1e6 / elapsed).toFixed(0),
    (moved / store.hostBytes).toFixed(2),
    (written / store.hostBytes).toFixed(2),
    (written / moved).toFixed(2),
    `${percentile(times, 0.5).toFixed(1)} / ${percentile(times, 0.99).toFixed(0)} / ${percentile(times, 1).toFixed(0)}`,
    (store.reads / store.readSeconds / 1000).toFixed(1),
    store.memoryMiBMax.toFixed(0),
  ];
  console.log(`| ${line.join(" | ")} |`);
}

/** A child that makes, fills, finishes and removes zones, and says so line by line once each is acknowledged. */
async function crashChild(folder, firstZone) {
  const { LevelDriveMedium } = await import("../dist/drivers/drive/level-drive.js");
  const global = fakeGlobal();
  const medium = await LevelDriveMedium.open(folder, { name: "crash", global });
  const drive = medium.attach();
  await drive.open(1);
  const say = (line) => writeSync(1, `${line}\n`);
  say("ready");
  const zones = (await drive.listZones()).map(({ zone }) => zone);
  for (let zone = firstZone; ; zone++) {
    say(`creating ${zone}`);
    await drive.createZone(zone);
    say(`created ${zone}`);
    zones.push(zone);
    for (let strip = 0; strip < 12; strip += 4) {
      for (let index = 0; index < 4; index++)
        global.u8.fill((zone * 13 + strip + index) & 0xff, index * 4128, (index + 1) * 4128);
      await drive.writeStrips({ zone, firstStrip: strip, count: 4, address: 0, strideBytes: 4128 });
      say(`wrote ${zone} ${strip + 4}`);
    }
    await drive.finishZone(zone);
    say(`finished ${zone}`);
    if (zones.length > 6) {
      const victim = zones.shift();
      say(`removing ${victim}`);
      await drive.resetZone(victim);
      say(`removed ${victim}`);
    }
  }
}

function fakeGlobal() {
  const u8 = new Uint8Array(new SharedArrayBuffer(MIB));
  return { u8, view: (address, bytes) => Buffer.from(u8.buffer, address, bytes) };
}

async function crashRound(folder, state) {
  const child = spawn(process.execPath, [fileURLToPath(import.meta.url), "--crash-child", folder, String(state.nextZone)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let armed = false;
  for await (const line of createInterface({ input: child.stdout })) {
    const [what, zone, strips] = line.split(" ");
    if (what === "ready" && !armed) {
      armed = true;
      setTimeout(() => child.kill("SIGKILL"), 20 + Math.random() * 250);
    }
    state.last = what;
    if (zone === undefined) continue;
    const number = Number(zone);
    state.nextZone = Math.max(state.nextZone, number + 1);
    if (what === "creating") state.zones.set(number, { strips: 0, finished: false, sure: false });
    if (what === "created") state.zones.get(number).sure = true;
    if (what === "wrote") state.zones.get(number).strips = Number(strips);
    if (what === "finished") state.zones.get(number).finished = true;
    if (what === "removing") state.zones.get(number).sure = false;
    if (what === "removed") state.zones.delete(number);
  }
  const { LevelDriveMedium } = await import("../dist/drivers/drive/level-drive.js");
  const global = fakeGlobal();
  const medium = await LevelDriveMedium.open(folder, { name: "crash", global });
  const drive = medium.attach();
  await drive.open(1);
  const listed = new Map((await drive.listZones()).map((stat) => [stat.zone, stat]));
  const lost = [];
  for (const [zone, expected] of state.zones) {
    const found = listed.get(zone);
    if (found === undefined) {
      if (expected.sure) lost.push(`zone ${zone}`);
      state.zones.delete(zone);
      continue;
    }
    if (expected.finished && !found.finished) lost.push(`finish of zone ${zone}`);
    for (let strip = 0; strip < expected.strips; strip++) {
      try {
        await drive.readStrips({ zone, firstStrip: strip, count: 1, address: 0, strideBytes: 4128 });
        if (global.u8[4127] !== ((zone * 13 + strip) & 0xff)) lost.push(`content of ${zone}/${strip}`);
      } catch (error) {
        lost.push(`${zone}/${strip}: ${error.kind}`);
      }
    }
    expected.sure = true;
    expected.finished = found.finished;
  }
  for (const zone of listed.keys()) if (!state.zones.has(zone)) lost.push(`removed zone ${zone} is back`);
  await medium.close();
  return lost;
}

async function crash(rounds) {
  const { formatDrive } = await import("../dist/drivers/drive/level-drive-format.js");
  const root = mkdtempSync(join(tmpdir(), "varray-layout-"));
  mkdirSync(root, { recursive: true });
  const folder = join(root, "crash");
  const geometry = { capacityBytes: 64 * MIB, stripBytes: 4128, stripsPerZone: 16, zoneCount: 64 };
  await formatDrive(folder, { name: "crash", driveId: "crash", geometry });
  const state = { nextZone: 1, zones: new Map(), last: "" };
  const moments = {};
  let lost = 0;
  for (let round = 0; round < rounds; round++) {
    const missing = await crashRound(folder, state);
    moments[state.last] = (moments[state.last] ?? 0) + 1;
    lost += missing.length;
    for (const what of missing) console.log(`round ${round}: lost ${what}`);
  }
  rmSync(root, { recursive: true });
  console.log(
    `\n${rounds} kills, ${state.nextZone - 1} zones made, ${lost} things lost; last words before the kill: ${JSON.stringify(moments)}`,
  );
}

/** What an open, idle zone costs, and how long an opening takes: in a process of its own, whose memory is quiet. */
async function handles() {
  const folder = mkdtempSync(join(tmpdir(), "varray-layout-"));
  const store = new Store(folder, HANDLES_SHAPE);
  const blocks = new Int32Array(256);
  for (let next = 0; next + 256 <= store.liveBlocks; next += 256) {
    for (let index = 0; index < 256; index++) blocks[index] = next + index;
    await store.write(blocks, 256);
  }
  await store.close();
  const names = [...store.sealed].map((place) => store.names.get(place));
  const child = spawn(
    process.execPath,
    ["--expose-gc", fileURLToPath(import.meta.url), "--handles-child", folder, names.join(",")],
    {
      stdio: "inherit",
    },
  );
  await new Promise((resolve) => child.once("exit", resolve));
  rmSync(folder, { recursive: true });
}

const HANDLES_SHAPE = { stripBytes: 65536, zoneBytes: 64 * MIB, driveBytes: 1024 * MIB, fill: 0.75 };

async function handlesChild(folder, names) {
  const store = new Store(folder, HANDLES_SHAPE);
  names.forEach((name, place) => {
    store.names.set(place, name);
  });
  const openAll = async () => {
    const times = [];
    for (let place = 0; place < names.length; place++) {
      const began = performance.now();
      await store.handle(place);
      times.push(performance.now() - began);
    }
    return percentile(
      times.sort((a, b) => a - b),
      0.5,
    ).toFixed(1);
  };
  const first = await openAll();
  await store.close();
  store.handles.clear();
  globalThis.gc();
  const before = anonymousMiB();
  const again = await openAll();
  globalThis.gc();
  const opened = anonymousMiB();
  const key = Buffer.alloc(4);
  for (const level of store.handles.values()) {
    for (let strip = 0; strip < store.stripsPerZone; strip += 4) {
      key.writeUInt32BE(strip);
      level.getSync(key, { fillCache: false });
      if (strip % 64 === 0) globalThis.gc();
    }
  }
  globalThis.gc();
  const read = anonymousMiB();
  const kibibytes = (more) => ((Math.max(more, 0) / names.length) * 1024).toFixed(0);
  console.log(
    `\nopening a zone of 64 MiB: ${first} ms the first time after it was filled, ${again} ms later; ` +
      `${kibibytes(opened - before)} KiB for each when open, ${kibibytes(read - before)} KiB once read all over`,
  );
  await store.close();
}

if (process.argv[2] === "--crash-child") {
  await crashChild(process.argv[3], Number(process.argv[4]));
} else if (process.argv[2] === "--handles-child") {
  await handlesChild(process.argv[3], process.argv[4].split(","));
} else {
  const seconds = Number(process.argv[2] ?? 20);
  const driveMiB = Number(process.argv[3] ?? 1536);
  const rounds = Number(process.argv[4] ?? 40);
  const only = process.argv[5];
  console.log(
    "| strip | zone | full | fill MB/s | host MB/s | moved MB/s | moved/host | disk/host | disk/moved | batch p50/p99/worst ms | k reads/s | RssAnon MiB |",
  );
  console.log("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |");
  for (const [stripKiB, zoneMiB] of [
    [16, 64],
    [32, 64],
    [64, 64],
    [32, 16],
    [32, 32],
    [32, 128],
  ]) {
    if (only !== undefined && only !== `${stripKiB}x${zoneMiB}`) continue;
    // Two free zones, one open and one being emptied are a reserve: with few zones it is most of what is not live.
    const bytes = Math.max(driveMiB, ZONES_MIN * zoneMiB);
    for (const fill of [0.6, 0.85]) await run({ stripKiB, zoneMiB, driveMiB: bytes, fill, seconds });
  }
  await handles();
  if (rounds > 0) await crash(rounds);
}
