import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { CDBS } from "../../src/scsi/cdb/cdb-table.ts";
import { encodeCdb } from "../../src/scsi/cdb/define-cdb.ts";
import { READ_10, READ_16 } from "../../src/scsi/cdb/read.ts";
import { UNMAP } from "../../src/scsi/cdb/unmap.ts";
import { VERIFY_10 } from "../../src/scsi/cdb/verify.ts";
import { WRITE_10, WRITE_16 } from "../../src/scsi/cdb/write.ts";
import { WRITE_AND_VERIFY_10 } from "../../src/scsi/cdb/write-and-verify.ts";
import { WRITE_SAME_16 } from "../../src/scsi/cdb/write-same.ts";
import { STATUS } from "../../src/scsi/task.ts";
import { type Answer, senseText } from "../support/scsi-initiator.ts";
import { testTarget, VOLUME_BYTES } from "../support/scsi-target.ts";

type Step = {
  kind: "read" | "write" | "writeAndVerify" | "verify" | "writeSame" | "unmap";
  lba: number;
  blocks: number;
  byte: number;
};

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step["kind"]>("read", "write", "writeAndVerify", "verify", "writeSame", "unmap"),
    lba: fc.nat({ max: 220 }),
    blocks: fc.integer({ min: 1, max: 40 }),
    byte: fc.nat({ max: 3 }), // few values: 0 makes zeros, equal ones make verifies that agree
  }),
  { minLength: 1, maxLength: 40 },
);

describe("block commands (SBC-3)", () => {
  test.each([
    ["512-byte blocks", 0, 512],
    ["512-byte blocks of another director", 1, 512],
    ["4096-byte blocks", 2, 4096],
  ] as const)("any sequence leaves the volume as a plain byte array would be: %s", (_name, lun, blockBytes) => {
    const array = testTarget();
    const host = array.initiator();
    const model = new Uint8Array(VOLUME_BYTES);
    const run = ({ kind, lba, blocks, byte }: Step): void => {
      const from = lba * blockBytes;
      const bytes = blocks * blockBytes;
      const range = { logicalBlockAddress: lba, transferLength: blocks };
      const dataOut = new Uint8Array(bytes).fill(byte);
      const there = model.subarray(from, from + bytes);
      const good = (answer: Answer): void => expect(answer).toMatchObject({ completions: 1, status: STATUS.GOOD });
      switch (kind) {
        case "read":
          expect(Buffer.compare(host.send(READ_10, range, { lun }).data, there)).toBe(0);
          break;
        case "write":
          good(host.send(WRITE_16, { ...range, logicalBlockAddress: BigInt(lba) }, { lun, dataOut }));
          there.fill(byte);
          break;
        case "writeAndVerify":
          good(host.send(WRITE_AND_VERIFY_10, { ...range, bytchk: byte & 1 }, { lun, dataOut }));
          there.fill(byte);
          break;
        case "verify": {
          const same = there.every((value) => value === byte);
          const all = host.send(VERIFY_10, { ...range, bytchk: 1 }, { lun, dataOut });
          const each = host.send(VERIFY_10, { ...range, bytchk: 3 }, { lun, dataOut: dataOut.subarray(0, blockBytes) });
          for (const answer of [all, each]) expect(answer.sense).toBe(same ? "" : senseText("miscompareDuringVerify"));
          break;
        }
        case "writeSame":
          good(
            host.send(
              WRITE_SAME_16,
              { ...range, logicalBlockAddress: BigInt(lba), unmap: byte & 1 },
              { lun, dataOut: dataOut.subarray(0, blockBytes) },
            ),
          );
          there.fill(byte);
          break;
        case "unmap": {
          const list = new Uint8Array(24);
          const view = new DataView(list.buffer);
          view.setUint16(0, 22);
          view.setUint16(2, 16);
          view.setBigUint64(8, BigInt(lba));
          view.setUint32(16, blocks);
          good(host.send(UNMAP, { parameterListLength: 24 }, { lun, dataOut: list }));
          there.fill(0);
          break;
        }
      }
    };
    fc.assert(
      fc.property(steps, (sequence) => {
        for (const step of sequence) run(step);
        const whole = host.send(READ_16, { transferLength: 260 }, { lun }).data;
        expect(Buffer.compare(whole, model.subarray(0, 260 * blockBytes))).toBe(0);
        expect(array.frames.taken.size).toBe(0);
      }),
      { numRuns: 40 },
    );
  });
});

/** Random bytes, mostly behind an operation code that is known. */
const anyCdb = fc
  .tuple(fc.uint8Array({ minLength: 16, maxLength: 16 }), fc.option(fc.constantFrom(...CDBS)), fc.boolean())
  .map(([bytes, definition, small]) => {
    const cdb = bytes.slice();
    if (definition !== null) {
      cdb.set(encodeCdb(definition).subarray(0, 1));
      if (definition.serviceAction !== undefined) cdb[1] = (cdb[1]! & 0xe0) | definition.serviceAction;
      if (small) for (let i = 2; i < 16; i += 1) cdb[i] = i % 3 === 0 ? cdb[i]! & 7 : 0;
    }
    return cdb;
  });

const anyCommand = fc.record({
  cdb: anyCdb,
  lun: fc.constantFrom(0, 0, 1, 2, 9, -1),
  readFlag: fc.boolean(),
  writeFlag: fc.boolean(),
  dataOut: fc.uint8Array({ maxLength: 600 }),
  attribute: fc.nat({ max: 7 }),
  from: fc.nat({ max: 1 }),
});

describe("any bytes as a CDB", () => {
  test("complete exactly once with a valid status, lose no frame, and leave the unit working", () => {
    const array = testTarget();
    const hosts = [array.initiator(0), array.initiator(1)];
    fc.assert(
      fc.property(fc.array(anyCommand, { minLength: 1, maxLength: 20 }), fc.boolean(), (commands, held) => {
        for (const blocks of array.blocks) blocks.held = held;
        const answers = commands.map(({ cdb, from, ...request }) => hosts[from]!.sendCdb(cdb, request));
        for (let busy = true; busy; ) busy = array.blocks.map((blocks) => blocks.step()).includes(true);
        for (const answer of answers) {
          expect(answer.completions).toBe(1);
          if (answer.status === STATUS.CHECK_CONDITION) expect(answer.sense).not.toBe("00/00/00");
        }
        expect(array.frames.taken.size).toBe(0);
      }),
      { numRuns: 1000 },
    );
    for (const blocks of array.blocks) blocks.held = false;
    for (const server of array.targets) server.resetLogicalUnit(hosts[0]!.nexus, 0, () => {});
    for (let i = 0; i < 5; i += 1) hosts[0]!.sendCdb(new Uint8Array(16));
    const dataOut = new Uint8Array(512).fill(5);
    expect(hosts[0]!.send(WRITE_10, { transferLength: 1 }, { dataOut }).status).toBe(STATUS.GOOD);
    expect(hosts[0]!.send(READ_10, { transferLength: 1 }).data).toEqual(dataOut);
  });
});
