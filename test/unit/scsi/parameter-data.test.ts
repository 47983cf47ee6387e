import { beforeEach, describe, expect, test } from "vitest";
import { CDBS } from "../../../src/scsi/cdb/cdb-table.ts";
import { INQUIRY } from "../../../src/scsi/cdb/inquiry.ts";
import { MODE_SELECT_6, MODE_SELECT_10 } from "../../../src/scsi/cdb/mode-select.ts";
import { MODE_SENSE_6, MODE_SENSE_10 } from "../../../src/scsi/cdb/mode-sense.ts";
import {
  READ_FULL_STATUS,
  READ_KEYS,
  READ_RESERVATION,
  REPORT_CAPABILITIES,
} from "../../../src/scsi/cdb/persistent-reserve-in.ts";
import { READ_CAPACITY_10, READ_CAPACITY_16 } from "../../../src/scsi/cdb/read-capacity.ts";
import {
  REPORT_SUPPORTED_OPERATION_CODES,
  REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS,
} from "../../../src/scsi/cdb/report-supported.ts";
import { REPORT_TARGET_PORT_GROUPS } from "../../../src/scsi/cdb/report-target-port-groups.ts";
import { TEST_UNIT_READY } from "../../../src/scsi/cdb/test-unit-ready.ts";
import { STATUS } from "../../../src/scsi/task.ts";
import type { ScsiInitiator } from "../../support/scsi-initiator.ts";
import { TARGET_NAME, type TestTarget, testTarget } from "../../support/scsi-target.ts";

let array: TestTarget;
let host: ScsiInitiator;

beforeEach(() => {
  array = testTarget();
  host = array.initiator();
});

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const page = (pageCode: number, lun = 0, from = host): Buffer => {
  const answer = from.send(INQUIRY, { evpd: 1, pageCode, allocationLength: 0xffff }, { lun });
  expect(answer.status).toBe(STATUS.GOOD);
  const bytes = Buffer.from(answer.data);
  expect(bytes.readUInt16BE(2)).toBe(bytes.length - 4);
  expect(bytes[1]).toBe(pageCode);
  return bytes;
};

describe("INQUIRY (SPC-4 §6.6)", () => {
  test("standard data name the array, its version, TPGS and CMDQUE", () => {
    const data = Buffer.from(host.send(INQUIRY, { allocationLength: 260 }).data);
    expect(data.length).toBe(96);
    expect(hex(data.subarray(0, 8))).toBe("000006125b101002");
    expect(data.toString("ascii", 8, 36)).toBe("VARRAY  VIRTUAL VOLUME  0001");
    expect(hex(data.subarray(58, 68))).toBe("00a00960046004c00000");
  });

  test("is cut to any allocation length, without error", () => {
    for (let length = 0; length < 256; length += 1) {
      const answer = host.send(INQUIRY, { allocationLength: length });
      expect([answer.status, answer.data.length, answer.transferBytes]).toEqual([
        STATUS.GOOD,
        Math.min(length, 96),
        Math.min(length, 96),
      ]);
    }
  });

  test("a page code without EVPD, an unknown page and CMDDT are refused", () => {
    expect(host.send(INQUIRY, { pageCode: 1, allocationLength: 256 }).sense).toBe("05/24/00");
    expect(host.send(INQUIRY, { evpd: 1, pageCode: 0xb7, allocationLength: 256 }).sense).toBe("05/24/00");
    expect(host.send(INQUIRY, { cmddt: 1, allocationLength: 256 }).sense).toBe("05/24/00");
  });

  test("every page that page 00h lists can be read", () => {
    const listed = [...page(0).subarray(4)];
    expect(listed).toEqual([0x00, 0x80, 0x83, 0x86, 0xb0, 0xb1, 0xb2]);
    for (const code of listed) page(code);
    expect(page(0x80).toString("ascii", 4)).toBe("serial1");
  });

  test("page 83h names logical unit, port and target, the port being the one that was asked", () => {
    const other = array.initiator(1);
    for (const [initiator, port] of [
      [host, 1],
      [other, 2],
    ] as const) {
      const bytes = page(0x83, 0, initiator);
      const designators: string[] = [];
      for (let at = 4; at < bytes.length; at += 4 + bytes[at + 3]!) {
        const value = bytes.subarray(at + 4, at + 4 + bytes[at + 3]!);
        const isText = (bytes[at]! & 0x0f) !== 1;
        designators.push(
          `${hex(bytes.subarray(at, at + 2))} ${isText ? value.toString("utf8").replace(/\0+$/, "") : hex(value)}`,
        );
        if ((bytes[at + 1]! & 0x0f) === 8) expect([value.length % 4, value.at(-1)]).toEqual([0, 0]);
      }
      expect(designators).toEqual([
        "0103 60000000000000000000000000000001",
        "0201 VARRAY  VIRTUAL VOLUME  serial1",
        `5194 0000000${port}`,
        `5195 0000000${port}`,
        `5398 ${TARGET_NAME},t,0x000${port}`,
        `53a8 ${TARGET_NAME}`,
      ]);
    }
  });

  test("pages B0h, B1h and B2h tell limits and provisioning, in logical blocks", () => {
    const limits = page(0xb0);
    expect(limits[3]).toBe(0x3c);
    expect(limits[4]).toBe(1); // WSNZ
    expect(limits.readUInt16BE(6)).toBe(8);
    expect([8, 12, 20, 24, 28, 32].map((at) => limits.readUInt32BE(at))).toEqual([8192, 512, 1 << 20, 256, 8, 0x8000_0000]);
    expect(limits.readBigUInt64BE(36)).toBe(32768n); // under 2^16: see WRITE_SAME_BYTES_MAX
    expect(page(0xb0, 2).readUInt32BE(8)).toBe(1024);
    expect(hex(page(0xb1).subarray(0, 6))).toBe("00b1003c0001");
    expect(hex(page(0xb2))).toBe("00b2000400e40200");
    expect(hex(page(0x86).subarray(0, 8))).toBe("0086003c00070100");
  });
});

describe("READ CAPACITY (SBC-3 §5.15)", () => {
  test("tells the last block, block lengths and thin provisioning", () => {
    expect(hex(host.send(READ_CAPACITY_10).data)).toBe("00003fff00000200");
    const long = host.send(READ_CAPACITY_16, { allocationLength: 32 });
    expect(hex(long.data.subarray(0, 16))).toBe("0000000000003fff000002000003c000");
    expect(hex(host.send(READ_CAPACITY_16, { allocationLength: 32 }, { lun: 2 }).data.subarray(0, 16))).toBe(
      "00000000000007ff000010000000c000",
    );
    for (let length = 0; length < 16; length += 1) {
      expect(host.send(READ_CAPACITY_16, { allocationLength: length }).data.length).toBe(length);
    }
  });

  test("(10) says FFFFFFFFh when the last block has no 32-bit address", () => {
    array.blocks[0].change(1, { sizeBytes: 2 ** 41 + 4096 });
    expect(hex(host.send(READ_CAPACITY_10).data)).toBe("ffffffff00000200");
  });
});

const caching = (wce: number): number[] => [0x08, 0x12, wce, ...new Array<number>(17).fill(0)];
const select6 = (list: readonly number[], from = host) =>
  from.send(MODE_SELECT_6, { pf: 1, sp: 1, parameterListLength: list.length }, { dataOut: Uint8Array.from(list) });

describe("MODE SENSE (SPC-4 §6.11)", () => {
  test("(6) returns header, block descriptor and the page", () => {
    const answer = host.send(MODE_SENSE_6, { pageCode: 8, allocationLength: 255 });
    expect(hex(answer.data)).toBe(`1f001008${"0000400000000200"}8812040000${"00".repeat(15)}`);
    expect(hex(host.send(MODE_SENSE_6, { pageCode: 8, dbd: 1, allocationLength: 255 }).data.subarray(0, 6))).toBe("170010008812");
  });

  test("(10) has a long descriptor with LLBAA", () => {
    const answer = host.send(MODE_SENSE_10, { pageCode: 8, llbaa: 1, allocationLength: 255 });
    expect(hex(answer.data.subarray(0, 24))).toBe(`002a001001000010${"0000000000004000"}${"0000000000000200"}`);
    expect(hex(host.send(MODE_SENSE_10, { pageCode: 8, allocationLength: 255 }).data.subarray(0, 8))).toBe("0022001000000008");
  });

  test("page control tells changeable, default and saved values apart", () => {
    array.blocks[0].change(1, { writeCacheEnabled: false });
    const wce = (pageControl: number): number =>
      host.send(MODE_SENSE_6, { pageCode: 8, pageControl, dbd: 1, allocationLength: 255 }).data[6]!;
    expect([0, 1, 2, 3].map(wce)).toEqual([0, 4, 4, 0]);
    const control = host.send(MODE_SENSE_6, { pageCode: 0x0a, pageControl: 1, dbd: 1, allocationLength: 255 });
    expect(hex(control.data.subarray(4))).toBe(`0a0a${"00".repeat(10)}`);
  });

  test("3Fh returns all pages within 255 bytes; unknown pages and subpages are refused", () => {
    const all = host.send(MODE_SENSE_6, { pageCode: 0x3f, dbd: 1, allocationLength: 255 }).data;
    const codes: number[] = [];
    for (let at = 4; at < all.length; at += 2 + all[at + 1]!) codes.push(all[at]! & 0x3f);
    expect(codes).toEqual([0x01, 0x08, 0x0a, 0x1c]);
    expect(all[0]).toBe(all.length - 1);
    expect(host.send(MODE_SENSE_6, { pageCode: 0x3f, subpageCode: 0xff, allocationLength: 255 }).status).toBe(STATUS.GOOD);
    expect(host.send(MODE_SENSE_6, { pageCode: 0x05, allocationLength: 255 }).sense).toBe("05/24/00");
    expect(host.send(MODE_SENSE_6, { pageCode: 0x0a, subpageCode: 1, allocationLength: 255 }).sense).toBe("05/24/00");
    expect(host.send(MODE_SENSE_6, { pageCode: 0x3f, allocationLength: 4 })).toMatchObject({ transferBytes: 4 });
  });
});

describe("MODE SELECT (SPC-4 §6.9)", () => {
  test("changes WCE durably, and tells every other nexus 2A/01", () => {
    const other = array.initiator(1);
    expect(select6([0, 0, 0, 0, ...caching(0)]).status).toBe(STATUS.GOOD);
    expect(array.blocks[0].log).toEqual(["setWriteCache false", "flush 0 0 fua"]);
    expect(host.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
    expect(other.send(TEST_UNIT_READY).sense).toBe("06/2a/01");
    expect(host.send(MODE_SENSE_6, { pageCode: 8, dbd: 1, allocationLength: 255 }).data[6]).toBe(0);
    const back = [0, 0, 0, 0, 0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 2, 0, 0x88, ...caching(4).slice(1)];
    expect(
      host.send(MODE_SELECT_10, { pf: 1, parameterListLength: back.length }, { dataOut: Uint8Array.from(back) }).status,
    ).toBe(STATUS.GOOD);
    expect(array.blocks[0].volumeInfo(1)?.writeCacheEnabled).toBe(true);
  });

  test("what MODE SENSE returned can be sent back and changes nothing", () => {
    const sensed = host.send(MODE_SENSE_6, { pageCode: 0x3f, allocationLength: 255 }).data.slice();
    sensed[0] = 0;
    expect(select6([...sensed]).status).toBe(STATUS.GOOD);
    expect(array.blocks[0].log).toEqual([]);
  });

  test("answers 4/44/00 when the change can't be made durable", () => {
    array.blocks[0].writeCacheAnswer = false;
    const other = array.initiator(1);
    expect(select6([0, 0, 0, 0, ...caching(0)]).sense).toBe("04/44/00");
    expect(other.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
  });

  test("no list is GOOD; PF 0 is 5/24/00", () => {
    expect(host.send(MODE_SELECT_6, { pf: 1 }, { dataOut: new Uint8Array(0) }).status).toBe(STATUS.GOOD);
    expect(host.send(MODE_SELECT_6, { parameterListLength: 4 }, { dataOut: new Uint8Array(4) }).sense).toBe("05/24/00");
  });

  test("every list that is cut short is 5/1A/00, or what its whole pages ask for", () => {
    const list = [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 0, 0, ...caching(4)];
    for (let length = 1; length < list.length; length += 1) {
      const answer = select6(list.slice(0, length));
      expect(answer.sense, `length ${length}`).toBe(length === 12 ? "" : "05/1a/00");
    }
    expect(
      host.send(MODE_SELECT_6, { pf: 1, parameterListLength: 24 }, { dataOut: Uint8Array.from(list.slice(0, 20)) }).sense,
    ).toBe("05/1a/00");
    expect(host.send(MODE_SELECT_10, { pf: 1, parameterListLength: 2000 }, { dataOut: new Uint8Array(2000) }).sense).toBe(
      "05/1a/00",
    );
  });

  test.each([
    ["an unknown page", [0, 0, 0, 0, 0x07, 0x0a, ...new Array<number>(10).fill(0)]],
    ["a page of another length", [0, 0, 0, 0, 0x08, 0x0a, 4, ...new Array<number>(9).fill(0)]],
    ["a bit that can't be changed", [0, 0, 0, 0, 0x08, 0x12, 5, ...new Array<number>(17).fill(0)]],
    ["D_SENSE", [0, 0, 0, 0, 0x0a, 0x0a, 0x06, 0x10, ...new Array<number>(8).fill(0)]],
    ["another block length", [0, 0, 0, 8, 0, 0, 0, 0, 0, 0, 4, 0]],
    ["another capacity", [0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 2, 0]],
    ["a block descriptor of 7 bytes", [0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0]],
  ])("%s is 5/26/00", (_what, list) => {
    expect(select6(list).sense).toBe("05/26/00");
    expect(array.blocks[0].log).toEqual([]);
    expect(array.frames.taken.size).toBe(0);
  });
});

describe("REPORT SUPPORTED OPERATION CODES (SPC-4 §6.35)", () => {
  const report = (values: Record<string, number>) =>
    host.send(REPORT_SUPPORTED_OPERATION_CODES, { allocationLength: 65535, ...values });

  test("lists every command, with timeouts when they are asked for", () => {
    for (const rctd of [0, 1]) {
      const list = Buffer.from(report({ rctd }).data);
      expect(list.readUInt32BE(0)).toBe(list.length - 4);
      const descriptorBytes = rctd ? 20 : 8;
      expect(list.length).toBe(4 + descriptorBytes * CDBS.length);
      for (const [index, { opcode, serviceAction, lengthBytes }] of CDBS.entries()) {
        const at = 4 + index * descriptorBytes;
        expect([list[at], list.readUInt16BE(at + 2), list.readUInt16BE(at + 6)]).toEqual([
          opcode,
          serviceAction ?? 0,
          lengthBytes,
        ]);
        expect(list[at + 5]).toBe((rctd ? 2 : 0) | (serviceAction === undefined ? 0 : 1));
        if (rctd) expect(list.readUInt16BE(at + 8)).toBe(0x0a);
      }
    }
  });

  test.each(CDBS.map((definition) => [definition.name, definition] as const))(
    "reports %s alone, the right way only",
    (_name, cdb) => {
      const one = { requestedOperationCode: cdb.opcode, requestedServiceAction: cdb.serviceAction ?? 0 };
      const [right, wrong] = cdb.serviceAction === undefined ? [1, 2] : [2, 1];
      const answer = report({ ...one, reportingOptions: right });
      expect([answer.data[1], answer.data[3], answer.data[4]]).toEqual([3, cdb.lengthBytes, cdb.opcode]);
      expect(report({ ...one, reportingOptions: wrong }).sense).toBe("05/24/00");
      const either = report({ ...one, reportingOptions: 3, rctd: 1 });
      expect([either.data[1], either.data.length]).toEqual([0x83, 4 + cdb.lengthBytes + 12]);
    },
  );

  test("says of what is not there that it is not supported", () => {
    expect(hex(report({ reportingOptions: 1, requestedOperationCode: 0x89 }).data)).toBe("00010000");
    expect(hex(report({ reportingOptions: 2, requestedOperationCode: 0x9e, requestedServiceAction: 0x13 }).data)).toBe(
      "00010000",
    );
    expect(hex(report({ reportingOptions: 3, requestedOperationCode: 0x28, requestedServiceAction: 1 }).data)).toBe("00010000");
    expect(report({ reportingOptions: 4 }).sense).toBe("05/24/00");
  });

  test("task management functions are those that the iSCSI portal carries out", () => {
    expect(hex(host.send(REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, { allocationLength: 64 }).data)).toBe("da000000");
    expect(host.send(REPORT_SUPPORTED_TASK_MANAGEMENT_FUNCTIONS, { repd: 1, allocationLength: 64 }).data.length).toBe(16);
  });
});

describe("REPORT TARGET PORT GROUPS (SPC-4 §6.37)", () => {
  test("the owner's group is active/optimized and preferred, the other active/non-optimized", () => {
    const groups = (lun: number, parameterDataFormat = 0): string =>
      hex(host.send(REPORT_TARGET_PORT_GROUPS, { parameterDataFormat, allocationLength: 255 }, { lun }).data);
    expect(groups(0)).toBe(`00000018${"808b00010000000100000001"}${"018b00020000000100000002"}`);
    expect(groups(1)).toBe(`00000018${"018b00010000000100000001"}${"808b00020000000100000002"}`);
    expect(groups(0, 1).slice(0, 16)).toBe("0000001c10000000");
    expect(host.send(REPORT_TARGET_PORT_GROUPS, { parameterDataFormat: 2, allocationLength: 255 }).sense).toBe("05/24/00");
  });
});

describe("PERSISTENT RESERVE IN (SPC-4 §6.15)", () => {
  test("reports no keys, no reservation and no capabilities: nothing can be registered", () => {
    for (const definition of [READ_KEYS, READ_RESERVATION, READ_FULL_STATUS]) {
      expect(hex(host.send(definition, { allocationLength: 255 }).data)).toBe("0000000000000000");
    }
    expect(hex(host.send(REPORT_CAPABILITIES, { allocationLength: 255 }).data)).toBe("0008008000000000");
    expect(host.sendCdb(Uint8Array.of(0x5e, 4)).sense).toBe("05/24/00");
    expect(host.sendCdb(Uint8Array.of(0x5f, 0)).sense).toBe("05/20/00");
  });
});
