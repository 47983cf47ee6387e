/** Load beyond what is there is held back by the protocol: no frames, no room to send, peers that do not read. */
import { afterEach, describe, expect, test } from "vitest";
import { Initiator, read10, write10 } from "../../support/initiator.ts";
import { openPortal, type PortalFixture, type PortalFixtureOptions } from "../../support/portal-fixture.ts";

let fixture: PortalFixture;
const hoarded = new Int32Array(8192);
let hoardedCount = 0;

async function open(options: PortalFixtureOptions = {}, keys: Record<string, string> = {}): Promise<Initiator> {
  fixture = await openPortal(options);
  const initiator = await Initiator.open(fixture.port, { keys: { InitialR2T: "No", ...keys } });
  await initiator.testUnitReady();
  return initiator;
}

/** Takes every frame but `left`. */
function hoard(left: number): void {
  while (fixture.frames.tryTake(1, hoarded, hoardedCount)) hoardedCount += 1;
  giveBack(left);
}

function giveBack(count: number): void {
  for (let n = 0; n < count && hoardedCount > 0; n += 1) {
    hoardedCount -= 1;
    fixture.frames.give(hoarded[hoardedCount]!);
  }
  while (fixture.frames.serveWaiters());
}

const until = async (ready: () => boolean): Promise<void> => {
  for (let n = 0; n < 500 && !ready(); n += 1) await new Promise((resolve) => setTimeout(resolve, 5));
  expect(ready()).toBe(true);
};

afterEach(async () => {
  giveBack(hoardedCount);
  await fixture.close();
  expect(fixture.frames.taken.size).toBe(0);
});

describe("no frames for write data", () => {
  test("immediate data waits on the socket until frames are there", async () => {
    const initiator = await open();
    hoard(0);
    const data = Buffer.alloc(40_960, 0x5a);
    const tag = initiator.sendCommand(write10(0, 80), { write: true, expectedDataTransferLength: data.length }, { data });
    const next = initiator.sendCommand(Buffer.alloc(6)); // stands behind it
    await until(() => fixture.frames.waiting === 1);
    expect(initiator.waiting).toBe(0);
    giveBack(10);
    expect((await initiator.result(tag)).status).toBe(0);
    expect((await initiator.result(next)).status).toBe(0);
    giveBack(hoardedCount);
    expect((await initiator.read(0, 80)).data.equals(data)).toBe(true);
    expect(fixture.counter("frameWaits")).toBe(1);
    initiator.destroy();
  });

  test("after a bounded time the data goes nowhere, and the answer is TASK SET FULL", async () => {
    const initiator = await open({ portal: { limits: { frameWaitSeconds: 0.1 } } });
    hoard(0);
    const immediate = initiator.sendCommand(
      write10(0, 8),
      { write: true, expectedDataTransferLength: 4096 },
      { data: Buffer.alloc(4096) },
    );
    expect((await initiator.result(immediate)).status).toBe(0x28);
    const unsolicited = initiator.sendCommand(write10(0, 8), { final: false, write: true, expectedDataTransferLength: 4096 });
    initiator.dataOut({ final: true, initiatorTaskTag: unsolicited }, Buffer.alloc(4096));
    expect((await initiator.result(unsolicited)).status).toBe(0x28);
    expect(fixture.counter("taskSetFull")).toBe(2);
    expect((await initiator.testUnitReady()).status).toBe(0);
    initiator.destroy();
  });

  test("where data was not sent yet, the R2T waits, and everything else goes on", async () => {
    const initiator = await open();
    hoard(0);
    const data = Buffer.alloc(8192, 0x77);
    const tag = initiator.sendCommand(write10(0, 16), { write: true, expectedDataTransferLength: data.length });
    expect((await initiator.testUnitReady()).status).toBe(0);
    giveBack(1);
    expect((await initiator.testUnitReady()).status).toBe(0);
    giveBack(1);
    expect((await initiator.result(tag, (r2t) => initiator.answerR2T(r2t, data))).status).toBe(0);
    initiator.destroy();
  });

  test("one that waits too long for its R2T is answered TASK SET FULL; one that is aborted is forgotten", async () => {
    const initiator = await open({ portal: { limits: { solicitedFrameWaitSeconds: 0.1 } } });
    hoard(0);
    const aborted = initiator.sendCommand(write10(0, 16), { write: true, expectedDataTransferLength: 8192 });
    expect(await initiator.taskManagement({ function: 1, referencedTaskTag: aborted })).toBe(0);
    const tag = initiator.sendCommand(write10(0, 16), { write: true, expectedDataTransferLength: 8192 });
    expect((await initiator.result(tag)).status).toBe(0x28);
    initiator.destroy();
  });

  test("a connection that closes while it waits leaves no ticket", async () => {
    const initiator = await open();
    hoard(0);
    initiator.sendCommand(write10(0, 8), { write: true, expectedDataTransferLength: 4096 }, { data: Buffer.alloc(4096) });
    await until(() => fixture.frames.waiting === 1);
    initiator.destroy();
    await until(() => fixture.frames.waiting === 0 && fixture.portal.sessions().length === 0);
  });

  test("a session beside it is served", async () => {
    const initiator = await open();
    const witness = await Initiator.open(fixture.port);
    await witness.testUnitReady();
    hoard(1);
    initiator.sendCommand(write10(0, 16), { write: true, expectedDataTransferLength: 8192 }, { data: Buffer.alloc(8192) });
    await until(() => fixture.frames.waiting === 1);
    expect((await witness.write(100, Buffer.alloc(512, 1))).status).toBe(0);
    expect((await witness.read(100, 1)).status).toBe(0);
    initiator.destroy();
    witness.destroy();
  });

  test("a write over the maximum is refused 05/24/00 without a frame", async () => {
    const initiator = await open({ portal: { writeBytesMax: 4096 } });
    const tag = initiator.sendCommand(
      write10(0, 16),
      { write: true, expectedDataTransferLength: 8192 },
      { data: Buffer.alloc(8192) },
    );
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: "05/24/00" });
    initiator.destroy();
  });
});

describe("peers that do not read", () => {
  const BLOCKS = 2048; // 1 MiB
  const tags = (initiator: Initiator, count: number): number[] =>
    Array.from({ length: count }, () =>
      initiator.sendCommand(read10(0, BLOCKS), { read: true, expectedDataTransferLength: BLOCKS * 512 }),
    );

  test("reads over a session's share are not executed until earlier ones have left, and all are answered in order", async () => {
    const initiator = await open({ portal: { readBudgetBytes: 8 << 20 } }); // a share of 1 MiB
    fixture.blocks.held = true;
    const all = tags(initiator, 16);
    await initiator.ping(); // every command was received
    expect(fixture.blocks.pending).toBe(1);
    for (const tag of all) {
      expect(fixture.blocks.pending).toBe(1);
      fixture.blocks.step();
      const { status, data } = await initiator.result(tag);
      expect({ status, bytes: data.length }).toEqual({ status: 0, bytes: BLOCKS * 512 });
      await until(() => fixture.frames.taken.size === 0);
    }
    expect(fixture.blocks.pending).toBe(0);
    initiator.destroy();
  });

  test("one that expects 4 GiB of a small read keeps nobody else from reading", async () => {
    const initiator = await open({ portal: { readBudgetBytes: 64 << 20 } });
    const other = await Initiator.open(fixture.port, { initiatorName: "iqn.2026-11.test:other" });
    fixture.blocks.held = true;
    const tag = initiator.sendCommand(read10(0, 8), { read: true, expectedDataTransferLength: 0xffff_fe00 });
    await until(() => fixture.blocks.pending === 1);
    const inquiry = Buffer.from("120000006000", "hex");
    expect((await other.command(inquiry, { read: true, expectedDataTransferLength: 96 })).status).toBe(0);
    fixture.blocks.step();
    expect((await initiator.result(tag)).data.length).toBe(4096);
    initiator.destroy();
    other.destroy();
  });

  test("a peer that does not read has no more pinned than its share and a megabyte", async () => {
    const initiator = await open({ portal: { readBudgetBytes: 8 << 20 } });
    initiator.socket.pause();
    // In one turn: 32 MiB asked for, of 24 that there are. Executed all at once some would find no frame.
    initiator.socket.cork();
    const all = tags(initiator, 32);
    initiator.socket.uncork();
    await until(() => fixture.frames.taken.size > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(fixture.frames.taken.size * 4096).toBeLessThanOrEqual(4 << 20);
    initiator.socket.resume();
    for (const tag of all) expect((await initiator.result(tag)).status).toBe(0);
    await until(() => fixture.frames.taken.size === 0);
    initiator.destroy();
  });

  test("one that takes nothing is dropped after a while, and its pins with it; the others notice nothing", async () => {
    const initiator = await open({ portal: { limits: { sendStallSeconds: 0.3 }, readBudgetBytes: 8 << 20 } });
    const witness = await Initiator.open(fixture.port);
    await witness.testUnitReady();
    initiator.socket.pause();
    tags(initiator, 16);
    await until(() => fixture.frames.taken.size > 0);
    expect((await witness.read(0, 8)).status).toBe(0);
    await until(() => fixture.portal.sessions().length === 1);
    expect(fixture.frames.taken.size).toBe(0);
    expect((await witness.read(0, 8)).status).toBe(0);
    expect(
      fixture.events.some(({ type, message }) => type === "connection.dropped" && message.includes("takes no answers")),
    ).toBe(true);
    initiator.destroy();
    witness.destroy();
  });

  test("one that pings without reading is not listened to for ever", async () => {
    const initiator = await open(
      { portal: { limits: { sendStallSeconds: 0.5 }, readBudgetBytes: 1 << 20 } },
      { MaxRecvDataSegmentLength: "65536" },
    );
    initiator.socket.pause();
    const ping = Buffer.alloc(48 + 65_536);
    ping[0] = 0x40;
    ping[1] = 0x80;
    ping.writeUIntBE(65_536, 5, 3);
    ping.writeUInt32BE(0xffffffff, 20);
    for (let n = 0; n < 600; n += 1) initiator.raw(ping); // 39 MB
    await until(() => fixture.portal.sessions().length === 0);
    // What the kernel's buffers take, and two megabytes here.
    expect(fixture.counter("bytesIn")).toBeLessThan(30_000_000);
    initiator.destroy();
  });
});

describe("frames that a response points to", () => {
  test("stay pinned until the kernel has taken them", async () => {
    const initiator = await open();
    await initiator.write(0, Buffer.alloc(65_536, 1));
    initiator.socket.pause();
    const all = Array.from({ length: 4 }, () =>
      initiator.sendCommand(read10(0, 2048), { read: true, expectedDataTransferLength: 1 << 20 }),
    );
    await until(() => fixture.frames.taken.size >= 256);
    const pinned = fixture.frames.taken.size;
    expect(pinned).toBeGreaterThan(0);
    initiator.socket.resume();
    for (const tag of all)
      expect((await initiator.result(tag)).data.subarray(0, 65_536).equals(Buffer.alloc(65_536, 1))).toBe(true);
    await until(() => fixture.frames.taken.size === 0);
    initiator.destroy();
  });
});
