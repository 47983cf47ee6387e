import { cpSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { DriveError } from "../../../drivers/drive/drive.ts";
import { DriveChannel } from "../../../drivers/drive/drive-channel.ts";
import { DRIVE_COUNTERS } from "../../../drivers/drive/drive-counters.ts";
import type { DriveFaultSettings } from "../../../drivers/drive/drive-faults.ts";
import { REQUEST_WORD } from "../../../drivers/drive/drive-slots.ts";
import { RemoteDrive } from "../../../drivers/drive/remote-drive.ts";
import { counterBlock } from "../../../drivers/shared-memory/counters.ts";
import { Doorbell } from "../../../drivers/shared-memory/doorbell.ts";
import { raisePoolEpoch, raiseThreadEpoch } from "../../../drivers/shared-memory/epoch.ts";
import { drivePath, driveRequestRing, RING_WORD, SLOT_WORDS, threadNumber } from "../../../drivers/shared-memory/layout.ts";
import { RingProducer } from "../../../drivers/shared-memory/ring.ts";
import { DriveThread, TEST_GEOMETRY, temporaryFolder, testGlobalMemory } from "../../support/drive-fixtures.ts";

const { stripBytes } = TEST_GEOMETRY;
const C = DRIVE_COUNTERS.slots;

function drivesIn(folder: string, names: readonly string[]) {
  return names.map((name, index) => ({
    driveIndex: index,
    driveNumber: index,
    name,
    folder: join(folder, name),
    format: { driveId: `id-${name}`, geometry: TEST_GEOMETRY },
  }));
}

describe("a drive thread", () => {
  const temporary = temporaryFolder();
  // A ring of 16 slots and 8 requests in flight: what waits for room is tested too.
  const memory = testGlobalMemory({ directorCount: 2, driveRingSlots: 16 });
  const scratch = memory.global.layout.staging[0]!;
  let thread: DriveThread;
  let drives: RemoteDrive[];

  beforeAll(async () => {
    const [a, b, missing] = drivesIn(temporary.path, ["a", "b", "c"]);
    const { format: _, ...unformatted } = missing!;
    thread = await DriveThread.start({
      memory,
      drives: [a!, b!, unformatted],
      requestsInFlightMax: 8,
      deadlineMilliseconds: 5000,
    });
    drives = ["a", "b", "c"].map((name, driveIndex) => new RemoteDrive(thread.channel, { name, driveIndex }));
    for (const drive of drives.slice(0, 2)) await drive.open(1);
  });
  afterAll(async () => {
    await thread.stop();
    temporary.remove();
  });

  const strips = (zone: number, firstStrip: number, slot: number) => ({
    zone,
    firstStrip,
    count: 1,
    address: scratch + slot * stripBytes,
    strideBytes: stripBytes,
  });

  test("serves the drives that it could open, and says of the others why not", async () => {
    expect(thread.states.map(({ state }) => state)).toEqual(["open", "open", "failed"]);
    expect(thread.states[2]).toMatchObject({ name: "c", kind: "unreachable" });
    await expect(drives[2]!.identify()).rejects.toMatchObject({ name: "DriveError", kind: "unreachable" });
    await expect(new RemoteDrive(thread.channel, { name: "x", driveIndex: 9 }).identify()).rejects.toMatchObject({
      kind: "unreachable",
    });
    expect((await drives[0]!.identify()).driveId).toBe("id-a");
  });

  test("answers hundreds of requests that were asked for at once, in order of writing", async () => {
    const [a, b] = drives as [RemoteDrive, RemoteDrive];
    await Promise.all([a.createZone(1), b.createZone(1)]);
    const work: Promise<unknown>[] = [];
    for (let strip = 0; strip < 64; strip++) {
      thread.global.u8.fill(strip + 1, scratch + strip * stripBytes, scratch + (strip + 1) * stripBytes);
      work.push(a.writeStrips(strips(1, strip, strip)), b.writeStrips(strips(1, strip, strip)));
    }
    for (let key = 0; key < 200; key++)
      work.push(a.metadataBatch([{ type: "put", key: `k${key}`, value: Buffer.alloc(3000, key) }]));
    expect(thread.channel.inFlight).toBeLessThanOrEqual(8);
    await Promise.all(work);
    const reads: Promise<void>[] = [];
    for (let strip = 0; strip < 64; strip++) reads.push(drives[strip % 2]!.readStrips(strips(1, strip, 100 + strip)));
    await Promise.all(reads);
    for (let strip = 0; strip < 64; strip++) {
      const found = thread.global.view(scratch + (100 + strip) * stripBytes, stripBytes);
      expect(found.every((byte) => byte === strip + 1)).toBe(true);
    }
    const page = await a.metadataScan({ from: "k", below: "l", bytesMax: 512 * 1024 });
    expect(page.entries.length + (page.more ? 100 : 0)).toBeGreaterThan(150);
    expect(thread.channel.inFlight + thread.channel.waiting).toBe(0);
  });

  test("keeps as many as are asked for at once: that there are many says nothing against a drive", async () => {
    const asked = Array.from({ length: 3000 }, () => drives[0]!.metadataGet("none"));
    const refused = (await Promise.allSettled(asked)).filter(({ status }) => status === "rejected");
    expect(refused).toHaveLength(0);
  });

  test("counts what each drive did", async () => {
    const block = counterBlock(thread.global, "drive", 1);
    const before = { writes: block[C.writes]!, bytes: block[C.readBytes]!, notFound: block[C.notFound]! };
    await drives[1]!.createZone(2);
    await drives[1]!.writeStrips(strips(2, 0, 0));
    await drives[1]!.readStrips(strips(2, 0, 1));
    await drives[1]!.readStrips(strips(2, 1, 1)).catch(() => undefined);
    expect(block[C.writes]! - before.writes).toBe(1);
    expect(block[C.readBytes]! - before.bytes).toBe(stripBytes);
    expect(block[C.notFound]! - before.notFound).toBe(1);
    expect(block[C.underWay]).toBe(0);
    expect(block[C.busySeconds]).toBeGreaterThan(0);
  });

  test("has faults on command, and loses them on command", async () => {
    const [a] = drives as [RemoteDrive];
    const faulty = (faults: DriveFaultSettings | undefined) => thread.ask({ type: "setFaults", driveIndex: 0, faults });
    await a.createZone(3);
    await faulty({ rules: [{ fault: "lostWrite", zone: 3, firstStrip: 0 }] });
    await a.writeStrips(strips(3, 0, 0));
    await a.writeStrips(strips(3, 1, 1));
    await faulty({ rules: [{ fault: "bitFlip", zone: 3, firstStrip: 1, offsetBytes: 7, bit: 2, hitsMax: 1 }] });
    await expect(a.readStrips(strips(3, 0, 50))).rejects.toMatchObject({ kind: "notFound" });
    const byte = () => thread.global.u8[scratch + 50 * stripBytes + 7]! ^ thread.global.u8[scratch + stripBytes + 7]!;
    await a.readStrips(strips(3, 1, 50));
    expect(byte()).toBe(4);
    await a.readStrips(strips(3, 1, 50));
    expect(byte()).toBe(0);
    await faulty({ rules: [{ fault: "readError" }, { fault: "writeError" }] });
    await expect(a.readStrips(strips(3, 1, 50))).rejects.toMatchObject({ kind: "unrecoveredRead" });
    await expect(a.metadataGet("k1")).rejects.toMatchObject({ kind: "unrecoveredRead" });
    await expect(a.writeStrips(strips(3, 2, 0))).rejects.toMatchObject({ kind: "writeFailed" });
    await faulty({ rules: [{ fault: "unreachable" }] });
    await expect(a.listZones()).rejects.toMatchObject({ kind: "unreachable" });
    await faulty(undefined);
    await a.writeStrips(strips(3, 2, 0));
    expect((await a.listZones()).length).toBeGreaterThan(0);
  });

  test("tells what became of faults, and refuses them where no drive is open", async () => {
    const rule = { fault: "readError", operations: ["metadataRead"] } as const;
    expect(await thread.ask({ type: "setFaults", driveIndex: 1, faults: { rules: [rule] } })).toMatchObject({ open: true });
    await drives[1]!.metadataGet("a").catch(() => undefined);
    expect(await thread.ask({ type: "faults" })).toMatchObject({
      drives: [
        { driveIndex: 0, rules: [] },
        { driveIndex: 1, name: "b", rules: [{ rule, matched: 1, hits: 1 }] },
      ],
    });
    await thread.ask({ type: "setFaults", driveIndex: 1, faults: undefined });
    expect(await thread.ask({ type: "setFaults", driveIndex: 9, faults: undefined })).toMatchObject({ open: false });
  });

  test("formats, opens and closes drives while it serves others", async () => {
    const reply = await thread.ask({ type: "openDrive", drive: drivesIn(temporary.path, ["a", "b", "c"])[2]! });
    expect(reply).toMatchObject({ type: "drive", drive: { state: "open", name: "c" } });
    await expect(drives[2]!.listZones()).rejects.toMatchObject({ kind: "invalid" });
    await drives[2]!.open(1);
    await drives[2]!.createZone(1);
    const busy = drives[0]!.metadataBatch([{ type: "put", key: "busy", value: Buffer.alloc(100_000) }]);
    await thread.ask({ type: "closeDrive", driveIndex: 2 });
    await expect(drives[2]!.listZones()).rejects.toMatchObject({ kind: "unreachable" });
    await busy;
    await thread.ask({ type: "openDrive", drive: drivesIn(temporary.path, ["a", "b", "c"])[2]! });
    await drives[2]!.open(1);
    expect(await drives[2]!.listZones()).toEqual([{ zone: 1, finished: false }]);
  });

  test.each([
    ["its folder is moved away", "", "its folder is gone (ENOENT)"],
    ["its metadata's folder is moved away", "meta", "its folder is gone (ENOENT)"],
    ["another drive's folder is put into its place", "other", "another folder is in the place of its own"],
  ])("closes a drive when %s, and opens it again on command", async (_how, part, reason) => {
    const [, , , vanishing] = drivesIn(temporary.path, ["a", "b", "c", "vanishing"]);
    await thread.ask({ type: "openDrive", drive: vanishing! });
    const drive = new RemoteDrive(thread.channel, { name: "vanishing", driveIndex: 3 });
    await drive.open(1);
    const from = join(vanishing!.folder, part === "meta" ? "meta" : "");
    renameSync(from, `${temporary.path}/aside`);
    if (part === "other") cpSync(`${temporary.path}/aside`, from, { recursive: true });
    const before = thread.gone.length;
    await expect.poll(() => thread.gone.length, { timeout: 10_000 }).toBe(before + 1);
    const message = `drive vanishing: ${reason}`;
    expect(thread.gone.at(-1)).toEqual({ driveIndex: 3, name: "vanishing", state: "failed", kind: "unreachable", message });
    await expect(drive.metadataGet("a")).rejects.toMatchObject({ kind: "unreachable", message });
    // Told once.
    expect(await drives[0]!.metadataGet("a")).toBeUndefined();
    rmSync(from, { recursive: true, force: true });
    renameSync(`${temporary.path}/aside`, from);
    expect(await thread.ask({ type: "openDrive", drive: vanishing! })).toMatchObject({ drive: { state: "open" } });
    await drive.open(1);
    await thread.ask({ type: "closeDrive", driveIndex: 3 });
    rmSync(vanishing!.folder, { recursive: true });
  });

  test("never formats over what is not a drive", async () => {
    const [, , , other] = drivesIn(temporary.path, ["a", "b", "c", "other"]);
    mkdirSync(join(other!.folder, "photos"), { recursive: true });
    expect(await thread.ask({ type: "openDrive", drive: other! })).toMatchObject({ drive: { state: "failed", kind: "foreign" } });
  });

  test.each([
    ["in an empty folder", []],
    ["before LevelDB wrote its first file", ["meta/"]],
    ["before LevelDB named its manifest", ["zones/", "meta/LOCK", "meta/LOG", "meta/MANIFEST-000001"]],
  ])("goes on with a formatting that was cut off %s", async (_when, left) => {
    const cut = drivesIn(temporary.path, ["a", "b", "c", "cut"])[3]!;
    mkdirSync(cut.folder, { recursive: true });
    for (const path of left) {
      mkdirSync(join(cut.folder, path.endsWith("/") ? path : dirname(path)), { recursive: true });
      if (!path.endsWith("/")) writeFileSync(join(cut.folder, path), "");
    }
    expect(await thread.ask({ type: "openDrive", drive: cut })).toMatchObject({ drive: { state: "open", name: "cut" } });
    await thread.ask({ type: "closeDrive", driveIndex: 3 });
    rmSync(cut.folder, { recursive: true });
  });

  test("answers requests that make no sense, and goes on", async () => {
    const { global } = thread;
    const ring = new RingProducer(global, driveRequestRing(global.layout, 0, 1));
    const threads = { consumer: threadNumber(global.layout, "drive", 0), producer: threadNumber(global.layout, "director", 1) };
    const doorbell = new Doorbell(global, threads);
    for (let operation = -1; operation < 15; operation++) {
      const word = ring.tryReserve();
      for (let index = 0; index < SLOT_WORDS; index++) global.i32[word + index] = (index * 0x9e3779b1) | 0;
      global.i32[word + REQUEST_WORD.operation] = operation;
      global.i32[word + REQUEST_WORD.threadEpoch] = 0;
      global.i32[word + REQUEST_WORD.driveIndex] = operation & 1;
      global.i32[word + REQUEST_WORD.deadlineMilliseconds] = 0x3fff_ffff;
      ring.publish();
    }
    doorbell.ring();
    await expect.poll(() => ring.size).toBe(0);
    expect(await drives[0]!.metadataGet("none")).toBeUndefined();
  });

  test("is overdue for a slow drive: the caller hears unknown, and the late answer harms nobody", async () => {
    const slow = new DriveChannel(thread.global, { pool: 0, director: 1, deadlineMilliseconds: 10 });
    const drive = new RemoteDrive(slow, { name: "b", driveIndex: 1 });
    await thread.ask({ type: "setFaults", driveIndex: 1, faults: { rules: [{ fault: "delay", milliseconds: 2500 }] } });
    const late = (await drive.open(1).catch((error: unknown) => error)) as DriveError;
    expect(late).toMatchObject({ name: "DriveError", kind: "unknown" });
    // The memory that a request named is its caller's again when the thread has answered, and not before.
    let landed = false;
    void late.landed!.then(() => {
      landed = true;
    });
    await thread.ask({ type: "setFaults", driveIndex: 1, faults: undefined });
    expect(slow.inFlight).toBe(1);
    expect(landed).toBe(false);
    await expect.poll(() => slow.drain() && slow.inFlight, { timeout: 5000 }).toBe(0);
    await late.landed;
    slow.close();
  });

  test("does not take answers to an earlier channel of the same director for its own", async () => {
    const options = { pool: 0, director: 1 };
    const earlier = new DriveChannel(thread.global, options);
    const answered = counterBlock(thread.global, "drive", 1)[C.metadataReads]!;
    const old = new RemoteDrive(earlier, { name: "b", driveIndex: 1 });
    const opened = old.open(1).catch(() => undefined);
    await expect.poll(() => earlier.drain() || earlier.inFlight === 0).toBe(true);
    await opened;
    const lost = Array.from({ length: 8 }, () => old.metadataGet("late").catch((error) => error.kind));
    await expect.poll(() => counterBlock(thread.global, "drive", 1)[C.metadataReads]! - answered).toBe(8);
    earlier.fail("the director was restarted");
    expect(await Promise.all(lost)).toEqual(Array.from({ length: 8 }, () => "unknown"));
    const later = new DriveChannel(thread.global, options);
    const drive = new RemoteDrive(later, { name: "b", driveIndex: 1 });
    let done = false;
    const identity = drive.identify().finally(() => {
      done = true;
    });
    await expect.poll(() => later.drain() || done).toBe(true);
    expect((await identity).driveId).toBe("id-b");
    later.close();
  });

  test("gets nothing more by a channel that was closed: its rings have the next one's ends", async () => {
    const options = { pool: 0, director: 1 };
    const identified = async (channel: DriveChannel): Promise<string> => {
      let done = false;
      const identity = new RemoteDrive(channel, { name: "b", driveIndex: 1 }).identify().finally(() => {
        done = true;
      });
      await expect.poll(() => channel.drain() || done).toBe(true);
      return (await identity).driveId;
    };
    const earlier = new DriveChannel(thread.global, options);
    expect(await identified(earlier)).toBe("id-b");
    earlier.close();
    const later = new DriveChannel(thread.global, options);
    expect(await identified(later)).toBe("id-b");
    const { address } = drivePath(thread.global.layout, 0, 1).requests;
    const head = (): number => Atomics.load(thread.global.i32, address / 4 + RING_WORD.head);
    const sent = head();
    // One that waited for room on a disk tries again.
    const stray = new RemoteDrive(earlier, { name: "b", driveIndex: 1 });
    await expect(stray.flush()).rejects.toMatchObject({ kind: "fenced" });
    expect(head()).toBe(sent);
    expect(await identified(later)).toBe("id-b");
    later.close();
  });

  test("fences requests as soon as main has raised the pool's epoch", async () => {
    const epoch = raisePoolEpoch(thread.global, 0, 5);
    await expect(drives[0]!.listZones()).rejects.toMatchObject({ kind: "fenced" });
    await expect(drives[0]!.open(epoch - 1)).rejects.toMatchObject({ kind: "fenced" });
    await drives[0]!.open(epoch);
    expect((await drives[0]!.listZones()).length).toBeGreaterThan(0);
  });
});

describe("a drive thread that dies", () => {
  test("leaves what it had as unknown, and is unreachable from then on", async () => {
    const temporary = temporaryFolder();
    const memory = testGlobalMemory();
    const thread = await DriveThread.start({ memory, drives: drivesIn(temporary.path, ["a"]) });
    const drive = new RemoteDrive(thread.channel, { name: "a", driveIndex: 0 });
    await drive.open(1);
    const ended = new Promise((resolve) => thread.worker.once("exit", resolve));
    await thread.ask({ type: "setFaults", driveIndex: 0, faults: { rules: [{ fault: "delay", milliseconds: 60_000 }] } });
    const caught = drive.createZone(1).catch((error) => error);
    await thread.worker.terminate();
    await ended;
    thread.channel.fail("its thread died");
    expect(await caught).toMatchObject({ kind: "unknown" });
    await expect(drive.listZones()).rejects.toMatchObject({ kind: "unreachable" });
    thread.end();
    const again = await DriveThread.start({ memory: testGlobalMemory(), drives: drivesIn(temporary.path, ["a"]) });
    expect(again.states[0]).toMatchObject({ state: "open" });
    await again.stop();
    temporary.remove();
  });

  test("and is started again: what was asked of it is done by the next, once and in order, and nobody hears of it", async () => {
    const temporary = temporaryFolder();
    const memory = testGlobalMemory();
    const specification = drivesIn(temporary.path, ["a", "b"]);
    const thread = await DriveThread.start({ memory, drives: specification });
    const { global, channel } = thread;
    const [a, b] = specification.map(({ name, driveIndex }) => new RemoteDrive(channel, { name, driveIndex })) as [
      RemoteDrive,
      RemoteDrive,
    ];
    await Promise.all([a.open(1), b.open(1)]);
    const scratch = global.layout.staging[0]!;
    const strips = (firstStrip: number, count: number) => {
      return { zone: 1, firstStrip, count, address: scratch + firstStrip * stripBytes, strideBytes: stripBytes };
    };
    for (let strip = 0; strip < 10; strip++)
      global.u8.fill(strip + 1, scratch + strip * stripBytes, scratch + (strip + 1) * stripBytes);
    await a.createZone(1);
    await a.writeStrips(strips(0, 2));
    await thread.ask({ type: "setFaults", driveIndex: 0, faults: { rules: [{ fault: "hang" }] } });
    const asked = [
      ...[a.writeStrips(strips(2, 2)), a.createZone(2), a.metadataBatch([{ type: "put", key: "k", value: Buffer.from("v") }])],
      ...[a.writeStrips(strips(4, 1)), a.readStrips({ ...strips(0, 2), address: scratch + 100 * stripBytes }), a.listZones()],
    ];
    await expect.poll(() => thread.global && channel.inFlight).toBe(asked.length);
    const ended = new Promise((resolve) => thread.worker.once("exit", resolve));
    await thread.worker.terminate();
    await ended;
    // As main does: fenced first, then started.
    raiseThreadEpoch(global, threadNumber(global.layout, "drive", 0));
    const whileDead = [b.metadataGet("nothing"), a.writeStrips(strips(5, 1))];
    const next = new Worker(new URL("../../../dist/drivers/drive/drive.worker.js", import.meta.url), {
      workerData: { transfer: memory.transfer, pool: 0, drives: specification.map(({ format: _, ...known }) => known) },
    });
    await new Promise((resolve) => next.once("message", resolve));
    await Promise.all([...asked, ...whileDead]);
    for (let strip = 0; strip < 2; strip++) expect(global.u8[scratch + (100 + strip) * stripBytes]).toBe(strip + 1);
    await a.readStrips({ ...strips(0, 6), address: scratch + 200 * stripBytes });
    for (let strip = 0; strip < 6; strip++) expect(global.u8[scratch + (200 + strip) * stripBytes]).toBe(strip + 1);
    expect((await a.listZones()).map(({ zone }) => zone)).toEqual([1, 2]);
    expect(Buffer.from((await a.metadataGet("k"))!).toString()).toBe("v");
    // The epoch is as it was: the fence holds.
    await a.open(2);
    expect(channel.inFlight + channel.waiting).toBe(0);
    next.postMessage({ type: "stop" });
    await new Promise((resolve) => next.once("exit", resolve));
    thread.end();
    temporary.remove();
  });

  test("and is not back in time: its drives can't be reached, whatever is asked of them, and none is held to be closed", async () => {
    const temporary = temporaryFolder();
    const memory = testGlobalMemory({ directorCount: 2 });
    const specification = drivesIn(temporary.path, ["a", "b"]);
    const thread = await DriveThread.start({ memory, drives: specification, holdMilliseconds: 200 });
    const [a, b] = specification.map(({ name, driveIndex }) => new RemoteDrive(thread.channel, { name, driveIndex })) as [
      RemoteDrive,
      RemoteDrive,
    ];
    await Promise.all([a.open(1), b.open(1)]);
    const ended = new Promise((resolve) => thread.worker.once("exit", resolve));
    await thread.worker.terminate();
    await ended;
    raiseThreadEpoch(memory.global, threadNumber(memory.global.layout, "drive", 0));
    const said: DriveError[] = [];
    const ask = (): Promise<unknown> =>
      Promise.all([a.listZones(), b.metadataGet("k"), b.createZone(1)].map((one) => one.catch((error) => said.push(error))));
    // All the time, so that some of it comes in a moment when the first ones have been given up.
    const asked: Promise<unknown>[] = [ask()];
    const asking = setInterval(() => asked.push(ask()), 10);
    await expect.poll(() => said.length, { timeout: 10_000 }).toBeGreaterThan(3);
    const next = new Worker(new URL("../../../dist/drivers/drive/drive.worker.js", import.meta.url), {
      workerData: { transfer: memory.transfer, pool: 0, drives: specification.map(({ format: _, ...known }) => known) },
    });
    await new Promise((resolve) => next.once("message", resolve));
    expect((await a.identify()).driveId).toBe("id-a");
    asked.push(ask());
    clearInterval(asking);
    await Promise.all(asked);
    expect(said).toHaveLength(3 * asked.length);
    expect(said.filter(({ threadLost }) => threadLost !== true)).toEqual([]);
    // The next channel finds them as they are.
    thread.end();
    const later = new DriveChannel(memory.global, { pool: 0, director: 1 });
    const again = new RemoteDrive(later, { name: "b", driveIndex: 1 });
    const drained = setInterval(() => later.drain(), 1);
    await again.open(2);
    expect(await again.listZones()).toEqual([]);
    clearInterval(drained);
    later.close();
    next.postMessage({ type: "stop" });
    await new Promise((resolve) => next.once("exit", resolve));
    temporary.remove();
  });
});
