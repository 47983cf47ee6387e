/**
 * Journals filled and replayed by the product's own code: its journal, its recovery, its cache and frames, over a plain file.
 * What a pool does beside that when it opens (drives, map, zones) is not in here.
 */
import { spawnSync } from "node:child_process";
import { closeSync, fdatasyncSync, fsyncSync, openSync, readSync, writeSync, writevSync } from "node:fs";
import { setImmediate as turn } from "node:timers/promises";

const dist = new URL("../../dist/", import.meta.url);
const of = (path) => import(new URL(path, dist).href);
const [{ Journal }, { decodeSuperblock, SUPERBLOCK_POSITIONS, SUPERBLOCK_BYTES }, { replayJournal }, { BlockCache }] =
  await Promise.all(
    ["src/journal/journal.js", "src/journal/record.js", "src/volume/recovery.js", "src/cache/block-cache.js"].map(of),
  );
const [{ FramePool }, { FrameChunks }, { createGlobalMemory }, { dataChecksum }, { ReadAhead }] = await Promise.all(
  [
    "src/cache/frame-pool.js",
    "drivers/shared-memory/frame-chunks.js",
    "drivers/shared-memory/global-memory.js",
    "drivers/shared-memory/data-checksum.js",
    "drivers/journal-file/read-ahead.js",
  ].map(of),
);

export const MiB = 2 ** 20;
const FRAME = 4096;
const IDENTITY = "0123456789abcdef".repeat(2);
const VOLUME = 1;
/** Different contents; more than a cache of the processor's own holds would not change what is measured. */
const CONTENTS = 256;

/** A journal's file without the sync thread: nothing here is written while it is measured. */
function plainFile(path, bytes) {
  const descriptor = openSync(path, "r+");
  const ahead = new ReadAhead(descriptor, bytes);
  return {
    bytes,
    write: (position, buffers) => void writevSync(descriptor, buffers, position),
    read: (position, target) => readSync(descriptor, target, 0, target.byteLength, position),
    sync: (done) => {
      fdatasyncSync(descriptor);
      setImmediate(done, undefined);
    },
    readAhead: (position) => ahead.behind(position),
    close: () => void ahead.end().then(() => closeSync(descriptor)),
  };
}

/** As createJournalFile makes it: every byte written, in pieces of 64 KiB. */
function makeFile(path, bytes) {
  const descriptor = openSync(path, "w");
  const zeros = Buffer.alloc(64 * 1024);
  for (let at = 0; at < bytes; at += zeros.length) writeSync(descriptor, zeros, 0, Math.min(zeros.length, bytes - at), at);
  fsyncSync(descriptor);
  closeSync(descriptor);
}

function journalOn(file, identity, epoch) {
  return new Journal({
    file,
    identity,
    epoch,
    onFailure: (error) => {
      throw error;
    },
    onProgress: () => undefined,
  });
}

/**
 * Fills a journal to the last record that fits.
 * @param blocks - of each record
 * @param spanBlocks - the writes go to random places of so many blocks; undefined: each to a block of its own
 */
export async function fillJournal(path, bytes, { blocks, spanBlocks }) {
  makeFile(path, bytes);
  const file = plainFile(path, bytes);
  await Journal.format(file, IDENTITY, 1);
  const journal = journalOn(file, IDENTITY, 1);
  await journal.recover({ piece: Buffer.alloc(MiB), apply: () => undefined });
  const contents = Array.from({ length: CONTENTS }, (_, n) => Buffer.alloc(FRAME, `${n} `));
  const crcs = contents.map((content) => dataChecksum(content));
  const next = random(1);
  for (let written = 0; journal.fits(blocks, blocks); ) {
    for (let n = 0; n < blocks; n++, written++) {
      const block = spanBlocks === undefined ? written : next() % spanBlocks;
      const content = (written * 7) % CONTENTS;
      const entry = { volume: VOLUME, block, nexus: 1, initiatorTaskTag: written, mask: 0xff, crc: crcs[content] };
      journal.record.addWrite(entry);
      journal.record.addPayload(contents[content]);
    }
    journal.commit();
  }
  await new Promise((resolve) => file.sync(resolve));
  file.close();
}

/** xorshift: the same journal each time. */
function random(seed) {
  let state = seed;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
}

export class ReplayRig {
  #global;
  #frames;

  /** @param frameBytes - held, and touched, before anything is measured */
  constructor(frameBytes) {
    const { global } = createGlobalMemory({
      directorCount: 1,
      poolCount: 1,
      driveCount: 4,
      poolReachedBy: [[0]],
      frameCount: frameBytes / FRAME,
      stagingBytesPerPool: 0,
      mailboxBytes: 4096,
    });
    global.kernels.fill(global.layout.frames, 1, frameBytes);
    this.#global = global;
    const chunks = new FrameChunks(global);
    this.#frames = new FramePool({ global, chunks, directorIndex: 0, directorCount: 1, dirtyPercentMax: 90 });
  }

  /**
   * Replays the journal into an empty cache, as often as one likes: nothing is written.
   * @param pagesKept - as a takeover does it, else as a restart
   */
  async replay(path, { pagesKept }) {
    const superblock = newestSuperblock(path);
    const file = plainFile(path, superblock.fileBytes);
    const cache = new BlockCache(this.#frames);
    let told = "";
    let turns = 0;
    let longestTurn = 0;
    let turnBegan = performance.now();
    const parts = {
      index: 0,
      name: "A",
      global: this.#global,
      frames: this.#frames,
      cache,
      journal: journalOn(file, superblock.identity, superblock.ownerEpoch + 1),
      volumes: { has: () => true },
      zeros: { add: () => undefined },
      runtime: {
        nowMilliseconds: () => performance.now(),
        nextTurn: (work) => {
          longestTurn = Math.max(longestTurn, performance.now() - turnBegan);
          turns += 1;
          setImmediate(() => {
            turnBegan = performance.now();
            work();
          });
        },
        raise: ({ message }) => {
          told = message;
        },
        reached: () => undefined,
      },
      health: { failed: false },
    };
    await turn();
    const clock = startClock();
    turnBegan = performance.now();
    await replayJournal(parts, {
      press: () => {
        throw new Error("the frames do not suffice: nothing destages here");
      },
      onRecovered: undefined,
      pagesKept,
    });
    const [, records, bytes] = /^(\d+) records, (\d+) bytes/.exec(told) ?? [];
    const figures = clock(Number(bytes));
    const dirty = cache.dirtyCount;
    cache.clear();
    this.#frames.removeReclaimer(cache);
    file.close();
    return { ...figures, records: Number(records), bytes: Number(bytes), dirty, turns, longestTurn };
  }
}

/** The whole file in pieces of 1 MiB into one buffer, on this thread. */
export function readRaw(path) {
  const { fileBytes } = newestSuperblock(path);
  const descriptor = openSync(path, "r");
  const piece = Buffer.allocUnsafeSlow(MiB).fill(0);
  const clock = startClock();
  for (let at = 0; at < fileBytes; at += MiB) readSync(descriptor, piece, 0, MiB, at);
  const figures = clock(fileBytes);
  closeSync(descriptor);
  return figures;
}

/** The file's pages leave the kernel's cache (all of them are on the disk). */
export function dropPages(path) {
  const { status, stderr } = spawnSync("dd", [`if=${path}`, "iflag=nocache", "count=0"]);
  if (status !== 0) throw new Error(`dd: ${stderr}`);
}

function startClock() {
  const cpu = process.cpuUsage();
  const began = performance.now();
  return (bytes) => {
    const milliseconds = performance.now() - began;
    const { user, system } = process.cpuUsage(cpu);
    return { milliseconds, cpuMilliseconds: (user + system) / 1000, gigabytesPerSecond: bytes / milliseconds / 1e6 };
  };
}

function newestSuperblock(path) {
  const descriptor = openSync(path, "r");
  const found = SUPERBLOCK_POSITIONS.map((position) => {
    const bytes = Buffer.alloc(SUPERBLOCK_BYTES);
    readSync(descriptor, bytes, 0, SUPERBLOCK_BYTES, position);
    return decodeSuperblock(bytes);
  });
  closeSync(descriptor);
  return found.filter((one) => typeof one === "object").sort((a, b) => b.counter - a.counter)[0];
}

export function median(values) {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
}
