/** Headers byte for byte beside their fields, both ways; and the hand-written accessors of the data path against the tables. */
import { describe, expect, test } from "vitest";
import { ASYNC_MESSAGE } from "../../directors/front-end/iscsi/pdu/async-message.ts";
import { DATA_IN } from "../../directors/front-end/iscsi/pdu/data-in.ts";
import { DATA_OUT } from "../../directors/front-end/iscsi/pdu/data-out.ts";
import {
  type Bhs,
  bits,
  defineBhs,
  type FieldTable,
  flag,
  hex,
  u8,
  u16,
  u24,
  u32,
  u64,
} from "../../directors/front-end/iscsi/pdu/define-bhs.ts";
import * as hot from "../../directors/front-end/iscsi/pdu/hot-path.ts";
import { LOGIN_REQUEST } from "../../directors/front-end/iscsi/pdu/login-request.ts";
import { LOGIN_RESPONSE } from "../../directors/front-end/iscsi/pdu/login-response.ts";
import { LOGOUT_REQUEST } from "../../directors/front-end/iscsi/pdu/logout-request.ts";
import { LOGOUT_RESPONSE } from "../../directors/front-end/iscsi/pdu/logout-response.ts";
import { NOP_IN } from "../../directors/front-end/iscsi/pdu/nop-in.ts";
import { NOP_OUT } from "../../directors/front-end/iscsi/pdu/nop-out.ts";
import { R2T } from "../../directors/front-end/iscsi/pdu/ready-to-transfer.ts";
import { REJECT } from "../../directors/front-end/iscsi/pdu/reject.ts";
import { SCSI_COMMAND } from "../../directors/front-end/iscsi/pdu/scsi-command.ts";
import { SCSI_RESPONSE } from "../../directors/front-end/iscsi/pdu/scsi-response.ts";
import { SNACK_REQUEST } from "../../directors/front-end/iscsi/pdu/snack-request.ts";
import { TASK_MANAGEMENT_REQUEST } from "../../directors/front-end/iscsi/pdu/task-management-request.ts";
import { TASK_MANAGEMENT_RESPONSE } from "../../directors/front-end/iscsi/pdu/task-management-response.ts";
import { TEXT_REQUEST } from "../../directors/front-end/iscsi/pdu/text-request.ts";
import { TEXT_RESPONSE } from "../../directors/front-end/iscsi/pdu/text-response.ts";

interface Golden {
  // biome-ignore lint/suspicious/noExplicitAny: tables of every PDU
  readonly table: Bhs<any>;
  /** Twelve words of the header. */
  readonly words: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

const none = 0xffffffff;

const GOLDEN: readonly Golden[] = [
  {
    table: SCSI_COMMAND,
    words: "01c10000 00000000 00010000 00000000 00000005 00001000 00000007 00000009 28000000 00080000 08000000 00000000",
    fields: {
      final: true,
      read: true,
      attribute: 1,
      lun: 1n << 48n,
      initiatorTaskTag: 5,
      expectedDataTransferLength: 4096,
      cmdSN: 7,
      expStatSN: 9,
      cdb: "28000000000800000800000000000000",
    },
  },
  {
    table: SCSI_COMMAND,
    words: "41a20000 00000200 40010000 00000000 0a0b0c0d 00000200 fffffffe 00000001 2a000000 00000000 01000000 00000000",
    fields: {
      immediate: true,
      final: true,
      write: true,
      attribute: 2,
      dataSegmentLength: 512,
      lun: 0x4001n << 48n,
      initiatorTaskTag: 0x0a0b0c0d,
      expectedDataTransferLength: 512,
      cmdSN: 0xfffffffe,
      expStatSN: 1,
      cdb: "2a000000000000000100000000000000",
    },
  },
  {
    table: SCSI_RESPONSE,
    words: "21820002 00000014 00000000 00000000 00000005 00000000 00000011 00000012 00000031 00000002 00000000 00000e00",
    fields: {
      final: true,
      underflow: true,
      status: 2,
      dataSegmentLength: 20,
      initiatorTaskTag: 5,
      statSN: 17,
      expCmdSN: 18,
      maxCmdSN: 49,
      expDataSN: 2,
      residualCount: 3584,
    },
  },
  {
    table: SCSI_RESPONSE,
    words: "21840000 00000000 00000000 00000000 00000005 00000000 00000011 00000012 00000031 00000000 00000000 00000200",
    fields: { final: true, overflow: true, initiatorTaskTag: 5, statSN: 17, expCmdSN: 18, maxCmdSN: 49, residualCount: 512 },
  },
  {
    table: TASK_MANAGEMENT_REQUEST,
    words: "42810000 00000000 00020000 00000000 00000008 00000005 00000003 00000004 00000002 00000000 00000000 00000000",
    fields: {
      immediate: true,
      final: true,
      function: 1,
      lun: 2n << 48n,
      initiatorTaskTag: 8,
      referencedTaskTag: 5,
      cmdSN: 3,
      expStatSN: 4,
      refCmdSN: 2,
    },
  },
  {
    table: TASK_MANAGEMENT_RESPONSE,
    words: "22800100 00000000 00000000 00000000 00000008 00000000 00000004 00000003 00000022 00000000 00000000 00000000",
    fields: { final: true, response: 1, initiatorTaskTag: 8, statSN: 4, expCmdSN: 3, maxCmdSN: 34 },
  },
  {
    table: DATA_OUT,
    words: "05800000 00002000 00010000 00000000 00000005 00010203 00000000 00000009 00000000 00000003 00006000 00000000",
    fields: {
      final: true,
      dataSegmentLength: 8192,
      lun: 1n << 48n,
      initiatorTaskTag: 5,
      targetTransferTag: 0x00010203,
      expStatSN: 9,
      dataSN: 3,
      bufferOffset: 24576,
    },
  },
  {
    table: DATA_IN,
    words: "25830000 00001000 00000000 00000000 00000005 ffffffff 00000011 00000012 00000031 00000001 00002000 00000200",
    fields: {
      final: true,
      underflow: true,
      statusPresent: true,
      dataSegmentLength: 4096,
      initiatorTaskTag: 5,
      targetTransferTag: none,
      statSN: 17,
      expCmdSN: 18,
      maxCmdSN: 49,
      dataSN: 1,
      bufferOffset: 8192,
      residualCount: 512,
    },
  },
  {
    table: R2T,
    words: "31800000 00000000 00010000 00000000 00000005 00020100 00000011 00000012 00000031 00000001 00010000 00020000",
    fields: {
      final: true,
      lun: 1n << 48n,
      initiatorTaskTag: 5,
      targetTransferTag: 0x00020100,
      statSN: 17,
      expCmdSN: 18,
      maxCmdSN: 49,
      r2tSN: 1,
      bufferOffset: 65536,
      desiredDataTransferLength: 131072,
    },
  },
  {
    table: ASYNC_MESSAGE,
    words: "32800000 00000000 00000000 00000000 ffffffff 00000000 00000011 00000012 00000031 01000000 00000003 00000000",
    fields: { final: true, initiatorTaskTag: none, statSN: 17, expCmdSN: 18, maxCmdSN: 49, asyncEvent: 1, parameter3: 3 },
  },
  {
    table: ASYNC_MESSAGE,
    words: "32800000 00000000 00000000 00000000 ffffffff 00000000 00000012 00000012 00000031 02000001 00020014 00000000",
    fields: {
      final: true,
      initiatorTaskTag: none,
      statSN: 18,
      expCmdSN: 18,
      maxCmdSN: 49,
      asyncEvent: 2,
      parameter1: 1,
      parameter2: 2,
      parameter3: 20,
    },
  },
  {
    table: TEXT_REQUEST,
    words: "04800000 00000010 00000000 00000000 00000006 ffffffff 00000002 00000003 00000000 00000000 00000000 00000000",
    fields: { final: true, dataSegmentLength: 16, initiatorTaskTag: 6, targetTransferTag: none, cmdSN: 2, expStatSN: 3 },
  },
  {
    table: TEXT_RESPONSE,
    words: "24400000 00002000 00000000 00000000 00000006 00000001 00000003 00000003 00000022 00000000 00000000 00000000",
    fields: {
      continue: true,
      dataSegmentLength: 8192,
      initiatorTaskTag: 6,
      targetTransferTag: 1,
      statSN: 3,
      expCmdSN: 3,
      maxCmdSN: 34,
    },
  },
  {
    table: LOGIN_REQUEST,
    words: "43870000 00000055 80123456 789a0000 00000000 00010000 00000001 00000000 00000000 00000000 00000000 00000000",
    fields: {
      immediate: true,
      transit: true,
      currentStage: 1,
      nextStage: 3,
      dataSegmentLength: 85,
      isid: "80123456789a",
      cid: 1,
      cmdSN: 1,
    },
  },
  {
    table: LOGIN_RESPONSE,
    words: "23870000 00000030 80123456 789a0007 00000000 00000000 00000000 00000001 00000020 00000000 00000000 00000000",
    fields: {
      transit: true,
      currentStage: 1,
      nextStage: 3,
      dataSegmentLength: 48,
      isid: "80123456789a",
      tsih: 7,
      expCmdSN: 1,
      maxCmdSN: 32,
    },
  },
  {
    table: LOGIN_RESPONSE,
    words: "23000000 00000000 80123456 789a0000 00000000 00000000 00000000 00000001 00000001 02010000 00000000 00000000",
    fields: { isid: "80123456789a", expCmdSN: 1, maxCmdSN: 1, statusClass: 2, statusDetail: 1 },
  },
  {
    table: LOGOUT_REQUEST,
    words: "46810000 00000000 00000000 00000000 00000009 00010000 00000005 00000006 00000000 00000000 00000000 00000000",
    fields: { immediate: true, final: true, reason: 1, initiatorTaskTag: 9, cid: 1, cmdSN: 5, expStatSN: 6 },
  },
  {
    table: LOGOUT_RESPONSE,
    words: "26800100 00000000 00000000 00000000 00000009 00000000 00000006 00000005 00000024 00000000 00020000 00000000",
    fields: { final: true, response: 1, initiatorTaskTag: 9, statSN: 6, expCmdSN: 5, maxCmdSN: 36, time2Wait: 2 },
  },
  {
    table: SNACK_REQUEST,
    words: "10810000 00000000 00010000 00000000 00000005 ffffffff 00000000 00000006 00000000 00000000 00000002 00000003",
    fields: {
      final: true,
      type: 1,
      lun: 1n << 48n,
      initiatorTaskTag: 5,
      targetTransferTag: none,
      expStatSN: 6,
      begRun: 2,
      runLength: 3,
    },
  },
  {
    table: REJECT,
    words: "3f800500 00000030 00000000 00000000 ffffffff 00000000 00000006 00000005 00000024 00000000 00000000 00000000",
    fields: { final: true, reason: 5, dataSegmentLength: 48, initiatorTaskTag: none, statSN: 6, expCmdSN: 5, maxCmdSN: 36 },
  },
  {
    table: NOP_OUT,
    words: "40800000 00000004 00000000 00000000 0000000a ffffffff 00000005 00000006 00000000 00000000 00000000 00000000",
    fields: {
      immediate: true,
      final: true,
      dataSegmentLength: 4,
      initiatorTaskTag: 10,
      targetTransferTag: none,
      cmdSN: 5,
      expStatSN: 6,
    },
  },
  {
    table: NOP_IN,
    words: "20800000 00000000 00000000 00000000 ffffffff 00000001 00000006 00000005 00000024 00000000 00000000 00000000",
    fields: { final: true, initiatorTaskTag: none, targetTransferTag: 1, statSN: 6, expCmdSN: 5, maxCmdSN: 36 },
  },
];

const bytesOf = (words: string): Buffer => Buffer.from(words.replaceAll(" ", ""), "hex");

describe("iSCSI PDUs, RFC 7143 §11", () => {
  for (const [n, { table, words, fields }] of GOLDEN.entries()) {
    test(`${table.name} (${n}) decodes to its fields, and every other field is zero`, () => {
      const decoded = table.decode(bytesOf(words)) as Record<string, unknown>;
      const expected = Object.fromEntries(
        Object.entries(table.fields).map(([name, field]) => [name, fields[name] ?? field.zero]),
      );
      expect(decoded).toEqual(expected);
    });
    test(`${table.name} (${n}) encodes to its bytes`, () => {
      expect(Buffer.from(table.encode(fields)).toString("hex")).toBe(bytesOf(words).toString("hex"));
    });
    test(`${table.name} (${n}) prints with its name and the fields that are set`, () => {
      const printed = table.print(bytesOf(words));
      expect(printed.startsWith(`${table.name}{`)).toBe(true);
      for (const name of Object.keys(fields)) expect(printed).toContain(`${name}=`);
    });
  }
});

describe("defineBhs", () => {
  const define = (fields: FieldTable) => () => defineBhs("X", 0x3e, fields);
  test("refuses fields that overlap", () => {
    expect(define({ a: u32(16), b: u16(18) })).toThrow(/overlaps/);
    expect(define({ a: flag(1, 7), b: bits(1, 6, 2) })).toThrow(/overlaps/);
    expect(define({ a: u24(5) })).toThrow(/overlaps/); // DataSegmentLength is there
    expect(define({ a: u8(0) })).toThrow(/overlaps/); // the opcode too
  });
  test("refuses a field that runs past the header", () => {
    expect(define({ a: u32(46) })).toThrow(/past/);
    expect(define({ a: u64(41) })).toThrow(/past/);
    expect(define({ a: hex(40, 9) })).toThrow(/past/);
  });
  test("refuses to encode a field that the table has not", () => {
    expect(() => NOP_IN.encode({ bogus: 1 } as never)).toThrow(/no field/);
  });
});

describe("the data path's accessors", () => {
  const numbers = { statSN: 17, expCmdSN: 18, maxCmdSN: 49 };
  test("read what the tables read", () => {
    for (const { table, words } of GOLDEN) {
      const bytes = Buffer.concat([Buffer.alloc(12), bytesOf(words)]);
      const at = 12;
      const fields = table.decode(bytes, at) as Record<string, number>;
      expect(hot.dataSegmentLengthOf(bytes, at)).toBe(fields.dataSegmentLength);
      expect(hot.ahsBytesOf(bytes, at)).toBe(fields.totalAHSLength! * 4);
      if (table === SCSI_COMMAND) {
        expect(hot.expectedDataTransferLengthOf(bytes, at)).toBe(fields.expectedDataTransferLength);
        expect(hot.cmdSNOf(bytes, at)).toBe(fields.cmdSN);
        expect(hot.expStatSNOf(bytes, at)).toBe(fields.expStatSN);
        expect((bytes[at + 1]! & hot.COMMAND_READ) !== 0).toBe(fields.read);
        expect((bytes[at + 1]! & hot.COMMAND_WRITE) !== 0).toBe(fields.write);
        expect(bytes[at + 1]! & hot.COMMAND_ATTRIBUTE_MASK).toBe(fields.attribute);
      }
      if (table === DATA_OUT) {
        expect(hot.targetTransferTagOf(bytes, at)).toBe(fields.targetTransferTag);
        expect(hot.dataSNOf(bytes, at)).toBe(fields.dataSN);
        expect(hot.bufferOffsetOf(bytes, at)).toBe(fields.bufferOffset);
      }
    }
  });
  test("write a Data-In as its table does, with status and without", () => {
    const bytes = Buffer.alloc(48);
    hot.writeDataIn(
      bytes,
      0,
      { flags: 0x83, status: 0, initiatorTaskTag: 5, dataSN: 1, bufferOffset: 8192, residualCount: 512, dataBytes: 4096 },
      numbers,
    );
    expect(bytes).toEqual(bytesOf(GOLDEN.find(({ table }) => table === DATA_IN)!.words));
    bytes.fill(0);
    hot.writeDataIn(
      bytes,
      0,
      { flags: 0, status: 2, initiatorTaskTag: 5, dataSN: 1, bufferOffset: 8192, residualCount: 512, dataBytes: 4096 },
      numbers,
    );
    expect(DATA_IN.decode(bytes)).toMatchObject({
      statusPresent: false,
      status: 0,
      statSN: 0,
      residualCount: 0,
      expCmdSN: 18,
      maxCmdSN: 49,
    });
  });
  test("write a SCSI Response as its table does", () => {
    const bytes = Buffer.alloc(48);
    hot.writeScsiResponse(
      bytes,
      0,
      { flags: hot.RESIDUAL_UNDERFLOW, status: 2, initiatorTaskTag: 5, expDataSN: 2, residualCount: 3584, dataBytes: 20 },
      numbers,
    );
    expect(bytes).toEqual(bytesOf(GOLDEN.find(({ table }) => table === SCSI_RESPONSE)!.words));
  });
  test("write an R2T as its table does", () => {
    const bytes = Buffer.alloc(48);
    const fields = {
      initiatorTaskTag: 5,
      targetTransferTag: 0x00020100,
      r2tSN: 1,
      bufferOffset: 65536,
      desiredDataTransferLength: 131072,
    };
    hot.writeReadyToTransfer(bytes, 0, fields, Buffer.from("0001000000000000", "hex"), numbers);
    expect(bytes).toEqual(bytesOf(GOLDEN.find(({ table }) => table === R2T)!.words));
  });
});
