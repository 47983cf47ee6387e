/** Discovery, login, reads, writes, R2T, NOP, logout: what a well-behaved initiator meets, over real TCP. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Initiator, RESERVED, read10, write10 } from "../../support/initiator.ts";
import { openPortal, type PortalFixture } from "../../support/portal-fixture.ts";

let fixture: PortalFixture;

beforeAll(async () => {
  fixture = await openPortal();
});
afterAll(async () => {
  await fixture.close();
  expect(fixture.frames.taken.size).toBe(0);
  expect(fixture.portal.sessions()).toEqual([]);
});

const pattern = (bytes: number, seed: number): Buffer<ArrayBuffer> =>
  Buffer.from(Array.from({ length: bytes }, (_, i) => (i * 7 + seed + (i >> 9)) & 0xff));

/** Logged in, and the power-on unit attention taken off. */
async function open(keys: Record<string, string> = {}): Promise<Initiator> {
  const initiator = await Initiator.open(fixture.port, { keys });
  await initiator.testUnitReady();
  return initiator;
}

describe("discovery, RFC 7143 §13.3", () => {
  const portals = "TargetName=iqn.2026-11.test:array\0TargetAddress=array.example:3260,1\0TargetAddress=array.example:3261,2\0";

  test("SendTargets=All tells the target and what each portal advertises", async () => {
    const initiator = await Initiator.open(fixture.port, { discovery: true });
    const response = await initiator.text({ SendTargets: "All" });
    expect(response.fields).toMatchObject({ final: true, continue: false, targetTransferTag: RESERVED });
    expect(response.data.toString()).toBe(portals);
    expect((await initiator.text({ SendTargets: "iqn.2026-11.test:array" })).data.toString()).toBe(portals);
    expect((await initiator.text({ SendTargets: "iqn.2026-11.test:other" })).data.toString()).toBe("");
    expect(await initiator.logout()).toBe(0);
    await initiator.closed();
  });

  test("portals that bind a wildcard address are told by the address that the initiator has reached", async () => {
    const wildcard = await openPortal({ host: "0.0.0.0", open: true, advertise: "" });
    const initiator = await Initiator.open(wildcard.port, { discovery: true });
    const answer = (await initiator.text({ SendTargets: "All" })).data.toString();
    expect(answer).toBe("TargetName=iqn.2026-11.test:array\0TargetAddress=127.0.0.1:0,1\0TargetAddress=127.0.0.1:0,2\0");
    initiator.destroy();
    await wildcard.close();
  });

  test("a normal session asks for its own target by an empty value, and may not ask for all", async () => {
    const initiator = await open();
    expect((await initiator.text({ SendTargets: "" })).data.toString()).toBe(portals);
    expect((await initiator.text({ SendTargets: "All" })).data.toString()).toBe("SendTargets=Reject\0");
    initiator.destroy();
  });

  test("an answer longer than the initiator's segment comes in pieces", async () => {
    const initiator = await Initiator.open(fixture.port, { discovery: true, keys: { MaxRecvDataSegmentLength: "512" } });
    const unknown = Object.fromEntries(Array.from({ length: 60 }, (_, i) => [`X-unknown${i}`, "1"]));
    const tag = initiator.tag();
    let response = await initiator.text(unknown, { initiatorTaskTag: tag });
    let answer = response.data.toString();
    let pieces = 1;
    while (response.fields.continue) {
      expect(response.fields.final).toBe(false);
      expect(response.data.length).toBe(512);
      response = await initiator.text({}, { initiatorTaskTag: tag, targetTransferTag: response.fields.targetTransferTag });
      answer += response.data.toString();
      pieces += 1;
    }
    expect(response.fields.final).toBe(true);
    expect(pieces).toBeGreaterThan(2);
    expect(answer).toBe(
      Object.keys(unknown)
        .map((key) => `${key}=NotUnderstood\0`)
        .join(""),
    );
    initiator.destroy();
  });

  test("a request in pieces is answered once it is whole", async () => {
    const initiator = await Initiator.open(fixture.port, { discovery: true });
    const tag = initiator.tag();
    const first = await initiator.text(Buffer.from("SendTar"), { final: false, continue: true, initiatorTaskTag: tag });
    expect(first.fields).toMatchObject({ final: false, continue: false });
    expect(first.data.length).toBe(0);
    const last = await initiator.text(Buffer.from("gets=All\0"), {
      initiatorTaskTag: tag,
      targetTransferTag: first.fields.targetTransferTag,
    });
    expect(last.data.toString()).toBe(portals);
    initiator.destroy();
  });
});

describe("login, RFC 7143 §6.3", () => {
  test("the operational keys are answered as §13 has it", async () => {
    const initiator = await Initiator.open(fixture.port, {
      keys: {
        HeaderDigest: "None,CRC32C",
        DataDigest: "None",
        MaxConnections: "8",
        InitialR2T: "No",
        ImmediateData: "Yes",
        MaxRecvDataSegmentLength: "131072",
        MaxBurstLength: "16776192",
        FirstBurstLength: "0x8000",
        DefaultTime2Wait: "0",
        DefaultTime2Retain: "60",
        MaxOutstandingR2T: "16",
        DataPDUInOrder: "No",
        DataSequenceInOrder: "No",
        ErrorRecoveryLevel: "2",
        TaskReporting: "FastAbort,RFC3720",
        iSCSIProtocolLevel: "2",
        IFMarker: "Yes",
        OFMarkInt: "2048~8192",
        "X-org.example.key": "1",
      },
    });
    expect(Object.fromEntries(initiator.keys)).toEqual({
      TargetPortalGroupTag: "1",
      TargetAlias: "varray",
      HeaderDigest: "None",
      DataDigest: "None",
      MaxConnections: "1",
      InitialR2T: "No",
      ImmediateData: "Yes",
      MaxRecvDataSegmentLength: "65536",
      MaxBurstLength: "131072",
      FirstBurstLength: "32768",
      DefaultTime2Wait: "2",
      DefaultTime2Retain: "0",
      MaxOutstandingR2T: "4",
      DataPDUInOrder: "Yes",
      DataSequenceInOrder: "Yes",
      ErrorRecoveryLevel: "0",
      TaskReporting: "RFC3720",
      iSCSIProtocolLevel: "1",
      IFMarker: "No",
      OFMarkInt: "Reject",
      "X-org.example.key": "NotUnderstood",
    });
    expect(fixture.portal.sessions()).toContainEqual(
      expect.objectContaining({
        director: "1A",
        initiatorName: initiator.name,
        isid: initiator.isid,
        tsih: initiator.tsih,
        discovery: false,
      }),
    );
    initiator.destroy();
  });

  test("login text in pieces is taken together", async () => {
    const initiator = await Initiator.connect(fixture.port);
    const text = Initiator.text({ ...initiator.identity(), HeaderDigest: "CRC32C" });
    initiator.loginRequest({ continue: true, currentStage: 1 }, text.subarray(0, 30));
    expect((await initiator.loginResponse()).fields).toMatchObject({ transit: false, statusClass: 0, currentStage: 1 });
    initiator.loginRequest({ transit: true, currentStage: 1, nextStage: 3 }, text.subarray(30));
    expect((await initiator.loginResponse()).fields).toMatchObject({ transit: true, nextStage: 3 });
    expect(initiator.headerDigest).toBe(true);
    expect((await initiator.ping()).data.length).toBe(0);
    initiator.destroy();
  });

  test("security stage alone, with no operational stage, leaves every key at its default", async () => {
    const initiator = await Initiator.connect(fixture.port);
    initiator.loginRequest(
      { transit: true, currentStage: 0, nextStage: 3 },
      { ...initiator.identity(), AuthMethod: "CHAP,None" },
    );
    const response = await initiator.loginResponse();
    expect(response.fields).toMatchObject({ statusClass: 0, transit: true, nextStage: 3 });
    expect(initiator.keys.get("AuthMethod")).toBe("None");
    expect(initiator.keys.has("MaxRecvDataSegmentLength")).toBe(false);
    // InitialR2T is Yes by default: F=0 announces what was not negotiated.
    initiator.destroy();
  });
});

for (const digests of [{}, { HeaderDigest: "CRC32C", DataDigest: "CRC32C" }] as Record<string, string>[]) {
  describe(`reads and writes, ${digests.HeaderDigest === undefined ? "without" : "with"} digests`, () => {
    const keys = {
      ...digests,
      InitialR2T: "No",
      MaxRecvDataSegmentLength: "8192",
      MaxBurstLength: "32768",
      FirstBurstLength: "16384",
    };

    test("what is written by immediate data is read back, at any alignment to blocks", async () => {
      const initiator = await open(keys);
      for (const [lba, blocks] of [
        [0, 1],
        [7, 1],
        [8, 8],
        [9, 8],
        [1000, 31],
      ] as const) {
        const data = pattern(blocks * 512, lba);
        expect(await initiator.write(lba, data)).toMatchObject({ status: 0, residual: 0 });
        const { status, data: back, residual } = await initiator.read(lba, blocks);
        expect({ status, residual, same: back.equals(data) }).toEqual({ status: 0, residual: 0, same: true });
      }
      initiator.destroy();
    });

    test("a large write is asked for by R2Ts of at most MaxBurstLength, four at a time", async () => {
      const initiator = await open({ ...keys, MaxOutstandingR2T: "9" });
      const data = pattern(300 * 512, 5);
      const r2ts: number[][] = [];
      const tag = initiator.sendCommand(
        write10(2048, 300),
        { write: true, expectedDataTransferLength: data.length },
        { data: data.subarray(0, 8192) },
      );
      const answered = await initiator.result(tag, (r2t) => {
        r2ts.push([r2t.r2tSN, r2t.bufferOffset, r2t.desiredDataTransferLength]);
        initiator.answerR2T(r2t, data);
      });
      expect(answered).toMatchObject({ status: 0, residual: 0 });
      expect(r2ts).toEqual([
        [0, 8192, 32768],
        [1, 40960, 32768],
        [2, 73728, 32768],
        [3, 106496, 32768],
        [4, 139264, 14336],
      ]);
      // ExpDataSN counts the R2Ts (§11.4.8).
      expect(answered.pdus.at(-1)!.fields.expDataSN).toBe(5);
      expect((await initiator.read(2048, 300)).data.equals(data)).toBe(true);
      initiator.destroy();
    });

    test("unsolicited Data-Outs up to FirstBurstLength need no R2T", async () => {
      const initiator = await open(keys);
      const data = pattern(32 * 512, 9);
      const tag = initiator.sendCommand(
        write10(4096, 32),
        { final: false, write: true, expectedDataTransferLength: data.length },
        { data: data.subarray(0, 4096) },
      );
      initiator.dataOut({ initiatorTaskTag: tag, dataSN: 0, bufferOffset: 4096 }, data.subarray(4096, 12288));
      initiator.dataOut({ final: true, initiatorTaskTag: tag, dataSN: 1, bufferOffset: 12288 }, data.subarray(12288));
      expect(await initiator.result(tag)).toMatchObject({ status: 0, residual: 0 });
      expect((await initiator.read(4096, 32)).data.equals(data)).toBe(true);
      initiator.destroy();
    });

    test("a large read comes in segments and sequences, with the status on its last PDU", async () => {
      const initiator = await open(keys);
      const { pdus, status } = await initiator.read(0, 200);
      expect(status).toBe(0);
      expect(pdus.map(({ name }) => name)).toEqual(new Array(13).fill("SCSI Data-In"));
      expect(pdus.map(({ fields }) => fields.dataSN)).toEqual([...Array(13).keys()]);
      // F after every 32768 bytes (§11.7.1), status once.
      expect(pdus.map(({ fields }) => fields.final)).toEqual([0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 1].map(Boolean));
      expect(pdus.map(({ fields }) => fields.statusPresent)).toEqual([...new Array(12).fill(false), true]);
      initiator.destroy();
    });
  });
}

describe("residual counts, RFC 7143 §11.4.5", () => {
  test("a read that expects less than its CDB asks overflows, one that expects more underflows", async () => {
    const initiator = await open();
    expect(await initiator.read(0, 2, { expectedDataTransferLength: 512 })).toMatchObject({ status: 0, residual: 512 });
    expect(await initiator.read(0, 2, { expectedDataTransferLength: 1536 })).toMatchObject({ status: 0, residual: -512 });
    expect((await initiator.read(0, 2, { expectedDataTransferLength: 100 })).data.length).toBe(100);
    expect(await initiator.read(0, 1, { expectedDataTransferLength: 0 })).toMatchObject({ status: 0, residual: 512 });
    initiator.destroy();
  });

  test("a write whose initiator sends more than the CDB takes drops the rest", async () => {
    const initiator = await open();
    await initiator.write(64, Buffer.alloc(1024, 1));
    const data = Buffer.alloc(1024, 2);
    const tag = initiator.sendCommand(write10(64, 1), { write: true, expectedDataTransferLength: 1024 }, { data });
    expect(await initiator.result(tag)).toMatchObject({ status: 0, residual: -512 });
    const back = (await initiator.read(64, 2)).data;
    expect([back[0], back[511], back[512], back[1023]]).toEqual([2, 2, 1, 1]);
    initiator.destroy();
  });

  test("a check condition comes with its sense and everything as residual", async () => {
    const initiator = await open();
    expect(await initiator.command(read10(0x7fffffff, 1), { read: true, expectedDataTransferLength: 512 })).toMatchObject({
      status: 2,
      sense: "05/21/00",
      residual: -512,
    });
    initiator.destroy();
  });
});

describe("sequence numbers, RFC 7143 §4.2.2", () => {
  test("StatSN counts answers, ExpCmdSN commands, and the window stays its size when nothing is under way", async () => {
    const initiator = await open();
    const first = await initiator.testUnitReady();
    const second = await initiator.testUnitReady();
    const [a, b] = [first.pdus[0]!.fields, second.pdus[0]!.fields];
    expect(b.statSN).toBe(a.statSN + 1);
    expect(b.expCmdSN).toBe(a.expCmdSN + 1);
    expect(b.maxCmdSN - b.expCmdSN).toBe(31);
    initiator.destroy();
  });

  test("a command ahead of its turn waits until the gap before it is filled", async () => {
    const initiator = await open();
    const first = initiator.takeCmdSN();
    const later = initiator.sendCommand(Buffer.alloc(6));
    expect((await initiator.ping()).fields.expCmdSN).toBe(first); // and no answer to the later one
    const filling = initiator.sendCommand(Buffer.alloc(6), { cmdSN: first });
    expect((await initiator.result(filling)).status).toBe(0);
    expect((await initiator.result(later)).status).toBe(0);
    initiator.destroy();
  });
});

describe("NOP and logout, RFC 7143 §11.14, §11.18", () => {
  test("a ping's data comes back, cut to what the initiator takes", async () => {
    const initiator = await open({ MaxRecvDataSegmentLength: "8192" });
    const data = pattern(10_001, 3);
    const { fields, data: back } = await initiator.ping(data);
    expect(fields.targetTransferTag).toBe(RESERVED);
    expect(back.equals(data.subarray(0, 8192))).toBe(true);
    expect((await initiator.ping(Buffer.from("abc"))).data.toString()).toBe("abc");
    initiator.destroy();
  });

  test("logout of the session is answered and followed by the close; wrong ones are answered and change nothing", async () => {
    const initiator = await open();
    expect(await initiator.logout({ reason: 1, cid: 77 })).toBe(1);
    expect(await initiator.logout({ reason: 2 })).toBe(2);
    expect(await initiator.logout({ reason: 1 })).toBe(0);
    await initiator.closed();
  });
});
