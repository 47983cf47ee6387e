/** Every row of "Full feature phase": the exact answer, and a session beside it that notices nothing. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { DATA_OUT } from "../../../directors/front-end/iscsi/pdu/data-out.ts";
import { defineBhs } from "../../../directors/front-end/iscsi/pdu/define-bhs.ts";
import { LOGIN_REQUEST } from "../../../directors/front-end/iscsi/pdu/login-request.ts";
import { LOGOUT_REQUEST } from "../../../directors/front-end/iscsi/pdu/logout-request.ts";
import { NOP_OUT } from "../../../directors/front-end/iscsi/pdu/nop-out.ts";
import type { R2T } from "../../../directors/front-end/iscsi/pdu/ready-to-transfer.ts";
import { SCSI_COMMAND } from "../../../directors/front-end/iscsi/pdu/scsi-command.ts";
import { SNACK_REQUEST } from "../../../directors/front-end/iscsi/pdu/snack-request.ts";
import { REJECT_REASON } from "../../../directors/front-end/iscsi/peer-error.ts";
import { Initiator, RESERVED, read10, write10 } from "../../support/initiator.ts";
import { openPortal, type PortalFixture } from "../../support/portal-fixture.ts";

let fixture: PortalFixture;
let witness: Initiator;
const CRC_ERROR = "0b/47/05";
const DIGESTS = { HeaderDigest: "CRC32C", DataDigest: "CRC32C" };

beforeAll(async () => {
  fixture = await openPortal({ portal: { limits: { immediateCommandsMax: 2, commandGapSeconds: 0.2 } } });
  witness = await Initiator.open(fixture.port, { initiatorName: "iqn.2026-11.test:witness" });
  await witness.testUnitReady();
});
afterEach(async () => {
  fixture.blocks.held = false;
  while (fixture.blocks.step());
  expect((await witness.testUnitReady()).status).toBe(0);
  expect((await witness.read(0, 1)).status).toBe(0);
  expect(witness.waiting).toBe(0);
});
afterAll(async () => {
  witness.destroy();
  await fixture.close();
  expect(fixture.frames.taken.size).toBe(0);
});

async function open(keys: Record<string, string> = {}): Promise<Initiator> {
  const initiator = await Initiator.open(fixture.port, { keys });
  expect((await initiator.testUnitReady()).sense).toMatch(/^06\/29/);
  return initiator;
}

/** A Reject with this reason came, with the header that it answers; the session goes on. */
async function rejected(initiator: Initiator, reason: number, bhs?: Buffer): Promise<void> {
  const { fields, data } = await initiator.next("Reject");
  expect(fields).toMatchObject({ reason, initiatorTaskTag: RESERVED });
  expect(data.length).toBe(48);
  if (bhs !== undefined) expect(data.equals(bhs)).toBe(true);
}

const alive = async (initiator: Initiator): Promise<void> => {
  expect((await initiator.testUnitReady()).status).toBe(0);
  initiator.destroy();
};

/** A write of 32 KiB without unsolicited data, at its first R2T. */
async function atR2T(initiator: Initiator, data: Buffer, lba = 512): Promise<{ tag: number; r2t: R2T }> {
  const tag = initiator.sendCommand(write10(lba, data.length / 512), { write: true, expectedDataTransferLength: data.length });
  return { tag, r2t: (await initiator.next("R2T")).fields };
}

const dataOutOf = (r2t: R2T) => ({
  lun: r2t.lun,
  initiatorTaskTag: r2t.initiatorTaskTag,
  targetTransferTag: r2t.targetTransferTag,
  bufferOffset: r2t.bufferOffset,
});

describe("PDUs that are not for here", () => {
  test("an unknown opcode gets Reject 05", async () => {
    const initiator = await open();
    const bhs = initiator.send(defineBhs("unknown", 0x1e, {}), { immediate: true }, { data: Buffer.alloc(20) });
    await rejected(initiator, REJECT_REASON.commandNotSupported, bhs);
    await alive(initiator);
  });

  test("a second login, and a SNACK at ErrorRecoveryLevel 0, get Reject 04", async () => {
    const initiator = await open();
    await rejected(initiator, REJECT_REASON.protocolError, initiator.send(LOGIN_REQUEST, { immediate: true }));
    await rejected(initiator, REJECT_REASON.protocolError, initiator.send(SNACK_REQUEST, { final: true, type: 1 }));
    await alive(initiator);
  });

  test("a SCSI command or task management in a discovery session gets Reject 04", async () => {
    const initiator = await Initiator.open(fixture.port, { discovery: true });
    initiator.sendCommand(Buffer.alloc(6));
    await rejected(initiator, REJECT_REASON.protocolError);
    initiator.sendTaskManagement({ function: 5 });
    await rejected(initiator, REJECT_REASON.protocolError);
    expect((await initiator.text({ SendTargets: "All" })).data.length).toBeGreaterThan(0);
    initiator.destroy();
  });

  test("too many immediate commands get Reject 06", async () => {
    const initiator = await open();
    fixture.blocks.held = true;
    const tags = [0, 1].map(() =>
      initiator.sendCommand(read10(0, 1), { immediate: true, read: true, expectedDataTransferLength: 512 }),
    );
    initiator.sendCommand(read10(0, 1), { immediate: true, read: true, expectedDataTransferLength: 512 });
    await rejected(initiator, REJECT_REASON.immediateCommandReject);
    fixture.blocks.held = false;
    while (fixture.blocks.step());
    for (const tag of tags) expect((await initiator.result(tag)).status).toBe(0);
    await alive(initiator);
  });

  test("a command after logout was asked for gets Reject 0c", async () => {
    const initiator = await open();
    fixture.blocks.held = true;
    // A write at the logical unit keeps the logout waiting.
    initiator.sendCommand(write10(0, 1), { write: true, expectedDataTransferLength: 512 }, { data: Buffer.alloc(512) });
    initiator.send(LOGOUT_REQUEST, { immediate: true, final: true, initiatorTaskTag: 99, cid: 1, cmdSN: initiator.cmdSN });
    initiator.sendCommand(Buffer.alloc(6));
    await rejected(initiator, REJECT_REASON.waitingForLogout);
    initiator.send(NOP_OUT, { immediate: true, final: true, initiatorTaskTag: 7, targetTransferTag: RESERVED });
    await rejected(initiator, REJECT_REASON.waitingForLogout);
    fixture.blocks.held = false;
    while (fixture.blocks.step());
    expect((await initiator.next("Logout Response")).fields.response).toBe(0);
    await initiator.closed();
  });

  test("a logout with a reason that does not exist gets Reject 09", async () => {
    const initiator = await open();
    initiator.send(LOGOUT_REQUEST, { immediate: true, final: true, reason: 9, initiatorTaskTag: 1 });
    await rejected(initiator, REJECT_REASON.invalidPduField);
    await alive(initiator);
  });
});

describe("tags", () => {
  test("a task tag that is in use gets Reject 07, and the task lives on", async () => {
    const initiator = await open();
    const data = Buffer.alloc(4096, 3);
    const { tag, r2t } = await atR2T(initiator, data);
    initiator.sendCommand(Buffer.alloc(6), { initiatorTaskTag: tag });
    await rejected(initiator, REJECT_REASON.taskInProgress);
    initiator.answerR2T(r2t, data);
    expect((await initiator.result(tag)).status).toBe(0);
    await alive(initiator);
  });

  test("the reserved task tag gets Reject 09", async () => {
    const initiator = await open();
    initiator.sendCommand(Buffer.alloc(6), { initiatorTaskTag: RESERVED });
    await rejected(initiator, REJECT_REASON.invalidPduField);
    await alive(initiator);
  });

  const wrong: readonly (readonly [string, (r2t: R2T, tag: number) => object])[] = [
    ["an unknown transfer tag", (r2t) => ({ ...dataOutOf(r2t), targetTransferTag: 0x12345678 })],
    ["the transfer tag of another R2T", (r2t) => ({ ...dataOutOf(r2t), targetTransferTag: r2t.targetTransferTag + 1 })],
    ["an unknown task tag", (r2t) => ({ ...dataOutOf(r2t), initiatorTaskTag: 0x7777 })],
    ["unsolicited data for a task that asked for it", (r2t) => ({ ...dataOutOf(r2t), targetTransferTag: RESERVED })],
    ["unsolicited data for no task", () => ({ initiatorTaskTag: 0x7777 })],
    ["a LUN that does not fit the transfer tag", (r2t) => ({ ...dataOutOf(r2t), lun: 2n << 48n })],
    ["a wrong buffer offset", (r2t) => ({ ...dataOutOf(r2t), bufferOffset: 512 })],
    ["a buffer offset past the data", (r2t) => ({ ...dataOutOf(r2t), bufferOffset: 0xfffffe00 })],
  ];
  test.each(wrong)("a Data-Out with %s gets Reject 09, and the right one is still taken", async (_name, fields) => {
    const initiator = await open();
    const data = Buffer.alloc(4096, 4);
    const { tag, r2t } = await atR2T(initiator, data);
    initiator.dataOut({ final: true, ...fields(r2t, tag) }, Buffer.alloc(4096, 0xee));
    await rejected(initiator, REJECT_REASON.invalidPduField);
    initiator.answerR2T(r2t, data);
    expect((await initiator.result(tag)).status).toBe(0);
    expect((await initiator.read(512, 8)).data.equals(data)).toBe(true);
    await alive(initiator);
  });

  test("a Data-Out longer than its R2T gets Reject 09, and not a byte beyond is written", async () => {
    const initiator = await open();
    await initiator.write(512, Buffer.alloc(16384, 1));
    const data = Buffer.alloc(4096, 2);
    const { tag, r2t } = await atR2T(initiator, data);
    initiator.dataOut({ final: true, ...dataOutOf(r2t) }, Buffer.alloc(8192, 0xee));
    await rejected(initiator, REJECT_REASON.invalidPduField);
    initiator.answerR2T(r2t, data);
    expect((await initiator.result(tag)).status).toBe(0);
    const back = (await initiator.read(512, 32)).data;
    expect(back.equals(Buffer.concat([data, Buffer.alloc(12288, 1)]))).toBe(true);
    await alive(initiator);
  });

  test("a used transfer tag is unknown afterwards", async () => {
    const initiator = await open();
    const data = Buffer.alloc(4096, 5);
    const { tag, r2t } = await atR2T(initiator, data);
    initiator.answerR2T(r2t, data);
    await initiator.result(tag);
    initiator.answerR2T(r2t, data);
    await rejected(initiator, REJECT_REASON.invalidPduField);
    await alive(initiator);
  });
});

describe("digests", () => {
  test("a wrong data digest of a Data-Out gets Reject 02, and its task ends 0b/47/05", async () => {
    const initiator = await open(DIGESTS);
    await initiator.write(600, Buffer.alloc(4096, 1));
    const data = Buffer.alloc(4096, 9);
    const { tag, r2t } = await atR2T(initiator, data, 600);
    initiator.dataOut({ final: true, ...dataOutOf(r2t) }, data, { badDataDigest: true });
    await rejected(initiator, REJECT_REASON.dataDigestError);
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: CRC_ERROR });
    expect((await initiator.read(600, 8)).data.equals(Buffer.alloc(4096, 1))).toBe(true);
    await alive(initiator);
  });

  test("a wrong data digest of a command's immediate data gets Reject 02, no task begins, and the PDU may come again", async () => {
    const initiator = await open(DIGESTS);
    const data = Buffer.alloc(512, 9);
    const cmdSN = initiator.takeCmdSN();
    const fields = { cmdSN, initiatorTaskTag: 4711, write: true, expectedDataTransferLength: 512 };
    initiator.sendCommand(write10(700, 1), fields, { data, badDataDigest: true });
    await rejected(initiator, REJECT_REASON.dataDigestError);
    expect((await initiator.ping()).fields.expCmdSN).toBe(cmdSN);
    initiator.sendCommand(write10(700, 1), fields, { data });
    expect((await initiator.result(4711)).status).toBe(0);
    await alive(initiator);
  });

  test("a gap that is never filled ends the session", async () => {
    const initiator = await open();
    initiator.takeCmdSN();
    initiator.sendCommand(Buffer.alloc(6));
    await initiator.closed();
  });

  test("a wrong data digest of another PDU gets Reject 02", async () => {
    const initiator = await open(DIGESTS);
    initiator.send(
      NOP_OUT,
      { immediate: true, final: true, initiatorTaskTag: 1, targetTransferTag: RESERVED },
      { data: Buffer.alloc(10), badDataDigest: true },
    );
    await rejected(initiator, REJECT_REASON.dataDigestError);
    await alive(initiator);
  });

  test("a wrong header digest closes", async () => {
    const initiator = await open(DIGESTS);
    initiator.sendCommand(Buffer.alloc(6), {}, { badHeaderDigest: true });
    await initiator.closed();
  });
});

describe("lengths", () => {
  test("a data segment over MaxRecvDataSegmentLength closes, before any of it comes", async () => {
    const initiator = await open();
    initiator.raw(
      SCSI_COMMAND.encode({
        final: true,
        write: true,
        dataSegmentLength: 65537,
        cmdSN: initiator.cmdSN,
        expectedDataTransferLength: 2 ** 24,
      }),
    );
    await initiator.closed();
  });

  test("an additional header segment past its end closes", async () => {
    const initiator = await open();
    initiator.sendCommand(Buffer.alloc(6), {}, { ahs: Buffer.from("00ff010000000000", "hex") });
    await initiator.closed();
  });

  test("one on a PDU ahead of its turn gets Reject 09 with its own header", async () => {
    const initiator = await open();
    const { cmdSN } = initiator;
    const ahead = { final: true, initiatorTaskTag: initiator.tag(), targetTransferTag: RESERVED, cmdSN: cmdSN + 1 };
    const bhs = initiator.send(NOP_OUT, ahead, { ahs: Buffer.from("0005020000000000", "hex") });
    const next = { ...ahead, initiatorTaskTag: initiator.tag(), cmdSN };
    initiator.send(NOP_OUT, next);
    await initiator.next("NOP-In");
    await rejected(initiator, REJECT_REASON.invalidPduField, bhs);
    initiator.cmdSN += 2;
    await alive(initiator);
  });

  test("an additional header segment of unknown type gets Reject 09; a known one is taken", async () => {
    const initiator = await open();
    initiator.sendCommand(Buffer.alloc(6), {}, { ahs: Buffer.from("0005070000000000", "hex") });
    await rejected(initiator, REJECT_REASON.invalidPduField);
    expect((await initiator.command(Buffer.alloc(6), {}, { ahs: Buffer.from("0005020000000000", "hex") })).status).toBe(0);
    await alive(initiator);
  });
});

describe("write data that does not fit what was negotiated", () => {
  test("a gap in DataSN ends the task 0b/47/05", async () => {
    const initiator = await open();
    const data = Buffer.alloc(8192, 1);
    const { tag, r2t } = await atR2T(initiator, data);
    initiator.dataOut({ ...dataOutOf(r2t), dataSN: 0 }, data.subarray(0, 4096));
    initiator.dataOut({ final: true, ...dataOutOf(r2t), dataSN: 2, bufferOffset: 4096 }, data.subarray(4096));
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: CRC_ERROR });
    await alive(initiator);
  });

  test("immediate data that was not negotiated ends the task 0b/0c/0c", async () => {
    const initiator = await open({ ImmediateData: "No" });
    const tag = initiator.sendCommand(
      write10(0, 1),
      { write: true, expectedDataTransferLength: 512 },
      { data: Buffer.alloc(512) },
    );
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: "0b/0c/0c" });
    await alive(initiator);
  });

  test("unsolicited data that was not negotiated ends the task 0b/0c/0c, once all of it has come", async () => {
    const initiator = await open({ InitialR2T: "Yes" });
    const tag = initiator.sendCommand(write10(0, 2), { final: false, write: true, expectedDataTransferLength: 1024 });
    initiator.dataOut({ initiatorTaskTag: tag, dataSN: 0 }, Buffer.alloc(512));
    await initiator.ping();
    initiator.dataOut({ final: true, initiatorTaskTag: tag, dataSN: 1, bufferOffset: 512 }, Buffer.alloc(512));
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: "0b/0c/0c" });
    await alive(initiator);
  });

  test("immediate data with a read ends the task 0b/0c/0c", async () => {
    const initiator = await open();
    const tag = initiator.sendCommand(read10(0, 1), { read: true, expectedDataTransferLength: 512 }, { data: Buffer.alloc(512) });
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: "0b/0c/0c" });
    await alive(initiator);
  });

  test.each([
    ["more immediate data than is expected", 512, 1024],
    ["more immediate data than FirstBurstLength", 16384, 8192],
  ])("%s ends the task 0b/0c/0d", async (_name, expectedDataTransferLength, bytes) => {
    const initiator = await open({ FirstBurstLength: "4096" });
    const tag = initiator.sendCommand(write10(0, 32), { write: true, expectedDataTransferLength }, { data: Buffer.alloc(bytes) });
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: "0b/0c/0d" });
    await alive(initiator);
  });

  test("less unsolicited data than FirstBurstLength where more is to come ends the task 0b/0c/0d", async () => {
    const initiator = await open({ InitialR2T: "No", FirstBurstLength: "4096" });
    const tag = initiator.sendCommand(write10(0, 32), { final: false, write: true, expectedDataTransferLength: 16384 });
    initiator.dataOut({ final: true, initiatorTaskTag: tag }, Buffer.alloc(2048));
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: "0b/0c/0d" });
    await alive(initiator);
  });

  test("more unsolicited data than FirstBurstLength ends the task 0b/0c/0d", async () => {
    const initiator = await open({ InitialR2T: "No", FirstBurstLength: "4096" });
    const tag = initiator.sendCommand(write10(0, 32), { final: false, write: true, expectedDataTransferLength: 16384 });
    initiator.dataOut({ final: true, initiatorTaskTag: tag }, Buffer.alloc(8192));
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: "0b/0c/0d" });
    await alive(initiator);
  });

  test("less than an R2T asked for ends the task 0b/0c/0d", async () => {
    const initiator = await open();
    const data = Buffer.alloc(8192, 1);
    const { tag, r2t } = await atR2T(initiator, data);
    initiator.dataOut({ final: true, ...dataOutOf(r2t) }, data.subarray(0, 4096));
    expect(await initiator.result(tag)).toMatchObject({ status: 2, sense: "0b/0c/0d" });
    await alive(initiator);
  });

  test("the read or write flag against the CDB's direction gets 05/24/00, and no data", async () => {
    const initiator = await open();
    const before = (await initiator.read(800, 1)).data;
    const readCapacity = Buffer.alloc(10);
    readCapacity[0] = 0x25;
    expect(
      await initiator.command(readCapacity, { write: true, expectedDataTransferLength: 512 }, { data: Buffer.alloc(512) }),
    ).toMatchObject({ status: 2, sense: "05/24/00" });
    // READ flagged as a write: no data either; GOOD, all of it residual, is the logical unit's choice (src/scsi/commands/read.ts).
    expect(
      await initiator.command(read10(0, 1), { write: true, expectedDataTransferLength: 512 }, { data: Buffer.alloc(512) }),
    ).toMatchObject({ status: 0, residual: -512 });
    expect(await initiator.command(write10(800, 1), { read: true, expectedDataTransferLength: 512 })).toMatchObject({
      status: 2,
      sense: "05/24/00",
    });
    expect(
      await initiator.command(
        write10(800, 1),
        { read: true, write: true, expectedDataTransferLength: 512 },
        { data: Buffer.alloc(512, 9) },
      ),
    ).toMatchObject({ status: 2, sense: "05/24/00" });
    expect((await initiator.read(800, 1)).data.equals(before)).toBe(true);
    await alive(initiator);
  });
});

describe("CmdSN outside the window", () => {
  test.each([
    ["far ahead", 1000],
    ["one past MaxCmdSN", 32],
    ["behind", -1],
    ["far behind", -100_000],
  ])("%s is ignored in silence, with its data", async (_name, offset) => {
    const initiator = await open();
    const before = fixture.counter("ignoredCommands");
    initiator.sendCommand(
      write10(0, 1),
      { cmdSN: (initiator.cmdSN + offset) >>> 0, write: true, expectedDataTransferLength: 512 },
      { data: Buffer.alloc(512) },
    );
    await initiator.ping();
    expect(fixture.counter("ignoredCommands")).toBe(before + 1);
    await alive(initiator);
  });
});

describe("text", () => {
  test("continuation and no data gets an empty response, an unknown transfer tag Reject 09", async () => {
    const initiator = await open();
    const { name, fields, data } = await initiator.text(Buffer.alloc(0), { final: false, continue: true });
    expect({ name, final: fields.final, bytes: data.length }).toEqual({ name: "Text Response", final: false, bytes: 0 });
    expect((await initiator.text({}, { targetTransferTag: 0x1234 })).fields.reason).toBe(REJECT_REASON.invalidPduField);
    await alive(initiator);
  });

  test("F and C together, text without NUL, text without end get Reject 04", async () => {
    const initiator = await open();
    expect((await initiator.text({}, { continue: true })).fields.reason).toBe(REJECT_REASON.protocolError);
    expect((await initiator.text(Buffer.from("SendTargets="))).fields.reason).toBe(REJECT_REASON.protocolError);
    const tag = initiator.tag();
    let response = await initiator.text(Buffer.alloc(9000, 0x61), { final: false, continue: true, initiatorTaskTag: tag });
    response = await initiator.text(Buffer.alloc(9000, 0x61), {
      final: false,
      continue: true,
      initiatorTaskTag: tag,
      targetTransferTag: response.fields.targetTransferTag,
    });
    expect(response.fields.reason).toBe(REJECT_REASON.protocolError);
    await alive(initiator);
  });

  test("login keys are rejected, and a new MaxRecvDataSegmentLength is in force at once", async () => {
    const initiator = await open();
    expect((await initiator.text({ HeaderDigest: "CRC32C", MaxBurstLength: "512" })).data.toString()).toBe(
      "HeaderDigest=Reject\0MaxBurstLength=Reject\0",
    );
    expect((await initiator.text({ MaxRecvDataSegmentLength: "512" })).data.length).toBe(0);
    expect((await initiator.read(0, 4)).pdus.length).toBe(4);
    await alive(initiator);
  });
});

describe("task management, RFC 7143 §11.5", () => {
  test("unknown functions get 5, reassignment 4", async () => {
    const initiator = await open();
    expect(await initiator.taskManagement({ function: 3 })).toBe(5);
    expect(await initiator.taskManagement({ function: 9 })).toBe(5);
    expect(await initiator.taskManagement({ function: 8 })).toBe(4);
    await alive(initiator);
  });

  test("an unknown task gets 1, one that is still on its way 0, and is not executed when it comes", async () => {
    const initiator = await open();
    expect(await initiator.taskManagement({ function: 1, referencedTaskTag: 0x4444, refCmdSN: initiator.cmdSN - 1 })).toBe(1);
    const lost = initiator.takeCmdSN();
    expect(
      await initiator.taskManagement({ function: 1, referencedTaskTag: 0x4444, refCmdSN: lost, cmdSN: initiator.cmdSN }),
    ).toBe(0);
    initiator.sendCommand(Buffer.alloc(6), { cmdSN: lost, initiatorTaskTag: 0x4444 });
    await alive(initiator);
  });

  test("no such LUN gets 2", async () => {
    const initiator = await open();
    for (const fn of [2, 4, 5]) expect(await initiator.taskManagement({ function: fn, lun: 77n << 48n })).toBe(2);
    await alive(initiator);
  });

  test("a task that collects data is dropped at once, and its data is taken in silence", async () => {
    const initiator = await open();
    const before = (await initiator.read(512, 8)).data;
    const { tag, r2t } = await atR2T(initiator, Buffer.alloc(4096, 0xaa));
    expect(await initiator.taskManagement({ function: 1, referencedTaskTag: tag, refCmdSN: initiator.cmdSN - 1 })).toBe(0);
    initiator.dataOut({ final: true, ...dataOutOf(r2t) }, Buffer.alloc(4096, 0xaa));
    expect((await initiator.read(512, 8)).data.equals(before)).toBe(true);
    initiator.dataOut({ final: true, ...dataOutOf(r2t) }, Buffer.alloc(4096, 0xaa));
    await rejected(initiator, REJECT_REASON.invalidPduField);
    await alive(initiator);
  });

  test("an abort is answered only when the task can no longer write, and the task has no answer", async () => {
    const initiator = await open();
    fixture.blocks.held = true;
    const tag = initiator.sendCommand(
      write10(900, 1),
      { write: true, expectedDataTransferLength: 512 },
      { data: Buffer.alloc(512, 0x55) },
    );
    initiator.sendTaskManagement({ function: 1, referencedTaskTag: tag, refCmdSN: initiator.cmdSN - 1 });
    await initiator.ping(); // nothing before this
    expect(initiator.waiting).toBe(0);
    fixture.blocks.held = false;
    while (fixture.blocks.step());
    expect((await initiator.next("Task Management Function Response")).fields.response).toBe(0);
    await alive(initiator);
  });

  test.each([
    ["ABORT TASK SET", 2],
    ["CLEAR TASK SET", 4],
    ["LOGICAL UNIT RESET", 5],
    ["TARGET WARM RESET", 6],
  ])("%s ends what is under way, held or collecting", async (_name, fn) => {
    const initiator = await open();
    fixture.blocks.held = true;
    initiator.sendCommand(write10(900, 1), { write: true, expectedDataTransferLength: 512 }, { data: Buffer.alloc(512, 0x55) });
    await atR2T(initiator, Buffer.alloc(4096));
    initiator.sendTaskManagement({ function: fn });
    await initiator.ping();
    fixture.blocks.held = false;
    while (fixture.blocks.step());
    expect((await initiator.next("Task Management Function Response")).fields.response).toBe(0);
    if (fn >= 5) {
      expect((await initiator.testUnitReady()).sense).toBe("06/29/03");
      expect((await witness.testUnitReady()).sense).toBe("06/29/03");
    }
    if (fn === 6) for (const lun of [1n, 2n]) expect((await witness.testUnitReady(lun)).status).toBe(2);
    await alive(initiator);
  });

  test.each([
    ["solicited", true],
    ["unsolicited", false],
  ])(
    "a task whose %s Data-Out is half there goes when another session clears the task set, and its connection may close",
    async (_, solicited) => {
      const initiator = await open({ InitialR2T: solicited ? "Yes" : "No", ImmediateData: "No" });
      const write = { write: true, final: solicited, expectedDataTransferLength: 4096 };
      const initiatorTaskTag = initiator.sendCommand(write10(0, 8), write);
      const targetTransferTag = solicited ? (await initiator.next("R2T")).fields.targetTransferTag : RESERVED;
      const header = DATA_OUT.encode({ final: true, initiatorTaskTag, targetTransferTag, dataSegmentLength: 4096 });
      initiator.raw(Buffer.concat([header, Buffer.alloc(1000)]));
      await expect.poll(() => fixture.frames.taken.size).toBe(1);
      await new Promise((resolve) => setTimeout(resolve, 20)); // the half PDU has come in any case
      expect(await witness.taskManagement({ function: 4 })).toBe(0);
      expect(fixture.frames.taken.size).toBe(0);
      initiator.destroy();
      await expect.poll(() => fixture.portal.sessions().length).toBe(1);
    },
  );

  test("TARGET COLD RESET ends every session after its answer", async () => {
    const initiator = await open();
    const other = await open();
    expect(await initiator.taskManagement({ function: 7 })).toBe(0);
    for (const ended of [initiator, other, witness]) {
      expect((await ended.next("Asynchronous Message")).fields.asyncEvent).toBe(3);
      await ended.closed();
    }
    witness = await Initiator.open(fixture.port, { initiatorName: "iqn.2026-11.test:witness" });
    await witness.testUnitReady();
  });
});

test("PDUs of random bytes never do more than end their own connection", async () => {
  let seed = 12345;
  const random = (): number => {
    seed = (Math.imul(seed, 1103515245) + 12345) >>> 0;
    return seed >>> 24;
  };
  for (let round = 0; round < 40; round += 1) {
    const initiator = await Initiator.open(fixture.port);
    const bhs = Buffer.from(Array.from({ length: 48 * 8 }, random));
    const opcodes = [1, 5, 2, 4, 0, 6, 0x41, 0x10];
    for (let n = 0; n < 8; n += 1) {
      bhs[n * 48] = opcodes[(n + round) % 8]!;
      bhs.fill(0, n * 48 + 4, n * 48 + 7); // no AHS, less than 256 bytes of data
      if (round % 2 === 0) bhs.writeUInt32BE(initiator.cmdSN + n, n * 48 + 24);
    }
    initiator.raw(bhs);
    initiator.raw(Buffer.from(Array.from({ length: 600 }, random)));
    await Promise.race([initiator.closed().catch(() => {}), new Promise((resolve) => setTimeout(resolve, 5))]);
    initiator.destroy();
  }
});
