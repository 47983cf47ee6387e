import { beforeEach, describe, expect, test } from "vitest";
import { GET_LBA_STATUS } from "../../../src/scsi/cdb/get-lba-status.ts";
import { REPORT_SUPPORTED_OPERATION_CODES } from "../../../src/scsi/cdb/report-supported.ts";
import { WRITE_10 } from "../../../src/scsi/cdb/write.ts";
import { STATUS } from "../../../src/scsi/task.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { type Answer, type ScsiInitiator, senseText } from "../../support/scsi-initiator.ts";
import { type TestTarget, testTarget, VOLUME_BYTES } from "../../support/scsi-target.ts";

let array: TestTarget;
let host: ScsiInitiator;

beforeEach(() => {
  array = testTarget();
  host = array.initiator();
});

function descriptors({ data }: Answer): { lba: bigint; blocks: number; status: number }[] {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Array.from({ length: (data.length - 8) / 16 }, (_, n) => ({
    lba: view.getBigUint64(8 + 16 * n),
    blocks: view.getUint32(16 + 16 * n),
    status: data[20 + 16 * n]!,
  }));
}

describe("GET LBA STATUS (SBC-3 §5.6)", () => {
  test.each([
    [0, 512],
    [1, 512],
    [2, 4096],
  ])("tells of LUN %i what is mapped and what is not, in its logical blocks", (lun, blockBytes) => {
    const per = 4096 / blockBytes;
    host.send(WRITE_10, { logicalBlockAddress: 2 * per, transferLength: per }, { lun, dataOut: new Uint8Array(4096).fill(1) });
    const answer = host.send(GET_LBA_STATUS, { startingLogicalBlockAddress: 0n, allocationLength: 4096 }, { lun });
    expect(answer.status).toBe(STATUS.GOOD);
    expect(descriptors(answer)).toEqual([
      { lba: 0n, blocks: 2 * per, status: 1 },
      { lba: BigInt(2 * per), blocks: per, status: 0 },
      { lba: BigInt(3 * per), blocks: VOLUME_BYTES / blockBytes - 3 * per, status: 1 },
    ]);
    expect(new DataView(answer.data.buffer).getUint32(0)).toBe(answer.data.length - 4);
    expect(array.frames.taken.size).toBe(0);
  });

  test("begins at the LBA that was asked for, inside a block too", () => {
    const answer = host.send(GET_LBA_STATUS, { startingLogicalBlockAddress: 13n, allocationLength: 24 });
    expect(descriptors(answer)).toEqual([{ lba: 13n, blocks: VOLUME_BYTES / 512 - 13, status: 1 }]);
  });

  test("asks the volume for no more than the allocation length takes, and cuts what is shorter than a descriptor", () => {
    for (const [allocationLength, extents, bytes] of [
      [0, 1, 0],
      [4, 1, 4],
      [23, 1, 23],
      [24, 1, 24],
      [39, 1, 24],
      [40, 2, 40],
      [1 << 20, 255, 8 + 16 * 3],
    ] as const) {
      host.send(WRITE_10, { logicalBlockAddress: 8, transferLength: 8 }, { dataOut: new Uint8Array(4096).fill(1) });
      const answer = host.send(GET_LBA_STATUS, { startingLogicalBlockAddress: 0n, allocationLength });
      expect(answer).toMatchObject({ status: STATUS.GOOD, transferBytes: bytes });
      expect(array.blocks[0].log.at(-1)).toBe(`mapping 0 ${extents}`);
    }
  });

  test("answers 5/21/00 from the capacity on, whatever the LBA, with it as INFORMATION", () => {
    for (const lba of [BigInt(VOLUME_BYTES / 512), 1n << 31n, 1n << 53n, (1n << 64n) - 1n]) {
      const answer = host.send(GET_LBA_STATUS, { startingLogicalBlockAddress: lba, allocationLength: 24 });
      expect(answer.sense).toBe(senseText("logicalBlockAddressOutOfRange"));
      if (lba < 1n << 32n) expect(new DataView(answer.senseData.buffer).getUint32(3)).toBe(Number(lba));
    }
    expect(
      host.send(GET_LBA_STATUS, { startingLogicalBlockAddress: BigInt(VOLUME_BYTES / 512 - 1), allocationLength: 24 }).status,
    ).toBe(STATUS.GOOD);
  });

  test("says what the volume says when it can't tell, and completes once when it takes its time", () => {
    array.blocks[0].held = true;
    const late = host.send(GET_LBA_STATUS, { startingLogicalBlockAddress: 0n, allocationLength: 24 });
    expect(late.completions).toBe(0);
    array.blocks[0].step();
    expect(late).toMatchObject({ completions: 1, status: STATUS.GOOD });
    array.blocks[0].held = false;
    array.blocks[0].fail.set("mapping", { status: BLOCK_STATUS.failed, errorOffsetBytes: 0 });
    const failed = host.send(GET_LBA_STATUS, { startingLogicalBlockAddress: 0n, allocationLength: 24 });
    expect(failed.sense).toBe(senseText("internalTargetFailure"));
  });

  test("is listed by REPORT SUPPORTED OPERATION CODES, with its usage map", () => {
    const values = { reportingOptions: 2, requestedOperationCode: 0x9e, requestedServiceAction: 0x12, allocationLength: 64 };
    const { data } = host.send(REPORT_SUPPORTED_OPERATION_CODES, values);
    expect([...data.subarray(1, 4)]).toEqual([3, 0, 16]);
    expect([...data.subarray(4)]).toEqual([0x9e, 0x12, ...new Array(12).fill(0xff), 0, 0]);
  });
});
