/** Random reads and writes of several sessions at depth, with every way of sending data, against a byte array. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Initiator, read10, write10 } from "../../support/initiator.ts";
import { openPortal } from "../../support/portal-fixture.ts";

const AREA_BLOCKS = 256;

const keysOf = fc.record({
  HeaderDigest: fc.constantFrom("None", "CRC32C"),
  DataDigest: fc.constantFrom("None", "CRC32C"),
  InitialR2T: fc.constantFrom("Yes", "No"),
  ImmediateData: fc.constantFrom("Yes", "No"),
  MaxRecvDataSegmentLength: fc.constantFrom("512", "4096", "65536"),
  MaxBurstLength: fc.constantFrom("4096", "16384", "262144"),
  FirstBurstLength: fc.constantFrom("512", "4096", "65536"),
  MaxOutstandingR2T: fc.constantFrom("1", "3"),
});
const operation = fc.record({
  write: fc.boolean(),
  lba: fc.nat(AREA_BLOCKS - 1),
  blocks: fc.integer({ min: 1, max: 64 }),
  fill: fc.nat(255),
  unsolicited: fc.boolean(),
});

describe("mixed load", () => {
  test("every session reads back exactly what it wrote, whatever was negotiated", async () => {
    const fixture = await openPortal();
    try {
      await fc.assert(
        fc.asyncProperty(
          fc.array(fc.tuple(keysOf, fc.array(operation, { maxLength: 12 })), { minLength: 1, maxLength: 3 }),
          async (sessions) => {
            await Promise.all(
              sessions.map(([keys, operations], n) => runSession(fixture.port, keys, operations, 1024 + n * 1024)),
            );
          },
        ),
        { numRuns: 40 },
      );
      for (let n = 0; n < 200 && fixture.frames.taken.size > 0; n += 1) await new Promise((resolve) => setTimeout(resolve, 5));
      expect(fixture.frames.taken.size).toBe(0);
      expect(fixture.counter("rejects")).toBe(0);
    } finally {
      await fixture.close();
    }
  });
});

interface Operation {
  readonly write: boolean;
  readonly lba: number;
  readonly blocks: number;
  readonly fill: number;
  readonly unsolicited: boolean;
}

async function runSession(
  port: number,
  keys: Record<string, string>,
  operations: readonly Operation[],
  base: number,
): Promise<void> {
  const initiator = await Initiator.open(port, { keys });
  const model = Buffer.alloc(AREA_BLOCKS * 512);
  try {
    await initiator.testUnitReady();
    await initiator.write(base, model);
    for (const { write, lba, blocks, fill, unsolicited } of operations) {
      const count = Math.min(blocks, AREA_BLOCKS - lba);
      if (!write) {
        const { status, data } = await initiator.command(read10(base + lba, count), {
          read: true,
          expectedDataTransferLength: count * 512,
        });
        expect(status).toBe(0);
        expect(data.equals(model.subarray(lba * 512, (lba + count) * 512))).toBe(true);
        continue;
      }
      const data = Buffer.from(Array.from({ length: count * 512 }, (_, i) => (i + fill + (i >> 9)) & 0xff));
      const result = unsolicited ? await writeUnsolicited(initiator, base + lba, data) : await initiator.write(base + lba, data);
      expect(result).toMatchObject({ status: 0, residual: 0 });
      data.copy(model, lba * 512);
    }
    const { data } = await initiator.read(base, AREA_BLOCKS);
    expect(data.equals(model)).toBe(true);
  } finally {
    initiator.destroy();
  }
}

/** All of the first burst unasked for: immediate where that was negotiated, the rest in Data-Outs of odd sizes. */
async function writeUnsolicited(initiator: Initiator, lba: number, data: Buffer) {
  const number = (key: string): number => Number(initiator.keys.get(key));
  if (initiator.keys.get("InitialR2T") === "Yes") return initiator.write(lba, data);
  const first = Math.min(number("FirstBurstLength"), data.length);
  const immediate = initiator.keys.get("ImmediateData") === "Yes" ? Math.min(512, first) : 0;
  const final = immediate === first;
  const initiatorTaskTag = initiator.sendCommand(
    write10(lba, data.length / 512),
    { final, write: true, expectedDataTransferLength: data.length },
    { data: data.subarray(0, immediate) },
  );
  let dataSN = 0;
  for (let at = immediate; at < first; ) {
    const bytes = Math.min(1537, first - at); // not a multiple of four: padding
    initiator.dataOut({ final: at + bytes === first, initiatorTaskTag, dataSN, bufferOffset: at }, data.subarray(at, at + bytes));
    dataSN += 1;
    at += bytes;
  }
  return initiator.result(initiatorTaskTag, (r2t) => initiator.answerR2T(r2t, data));
}
