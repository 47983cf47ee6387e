import { beforeEach, describe, expect, test } from "vitest";
import { PRE_FETCH_10 } from "../../../src/scsi/cdb/pre-fetch.ts";
import { READ_6, READ_10, READ_12, READ_16 } from "../../../src/scsi/cdb/read.ts";
import { START_STOP_UNIT } from "../../../src/scsi/cdb/start-stop-unit.ts";
import { SYNCHRONIZE_CACHE_10, SYNCHRONIZE_CACHE_16 } from "../../../src/scsi/cdb/synchronize-cache.ts";
import { UNMAP } from "../../../src/scsi/cdb/unmap.ts";
import { VERIFY_10, VERIFY_16 } from "../../../src/scsi/cdb/verify.ts";
import { WRITE_6, WRITE_10, WRITE_12, WRITE_16 } from "../../../src/scsi/cdb/write.ts";
import { WRITE_AND_VERIFY_10 } from "../../../src/scsi/cdb/write-and-verify.ts";
import { WRITE_SAME_10, WRITE_SAME_16 } from "../../../src/scsi/cdb/write-same.ts";
import { STATUS } from "../../../src/scsi/task.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { type ScsiInitiator, senseText } from "../../support/scsi-initiator.ts";
import { type TestTarget, testTarget, VOLUME_BYTES } from "../../support/scsi-target.ts";

const CAPACITY = VOLUME_BYTES / 512;
let array: TestTarget;
let host: ScsiInitiator;

beforeEach(() => {
  array = testTarget();
  host = array.initiator();
});

function pattern(bytes: number, seed = 1): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, i) => (i * 31 + seed * 7 + (i >> 8)) & 0xff);
}

function unmapList(ranges: readonly (readonly [lba: bigint, blocks: number])[]): Uint8Array {
  const list = new Uint8Array(8 + 16 * ranges.length);
  const view = new DataView(list.buffer);
  view.setUint16(0, list.length - 2);
  view.setUint16(2, 16 * ranges.length);
  for (const [index, [lba, blocks]] of ranges.entries()) {
    view.setBigUint64(8 + 16 * index, lba);
    view.setUint32(16 + 16 * index, blocks);
  }
  return list;
}

function unmap(ranges: readonly (readonly [lba: bigint, blocks: number])[]) {
  const list = unmapList(ranges);
  return host.send(UNMAP, { parameterListLength: list.length }, { dataOut: list });
}

describe("READ and WRITE (SBC-3 §5.10, §5.34)", () => {
  test("return what was written, at any phase of a block and through every CDB size", () => {
    const data = pattern(9 * 512);
    host.send(WRITE_6, { logicalBlockAddress: 3, transferLength: 9 }, { dataOut: data });
    expect(host.send(READ_6, { logicalBlockAddress: 3, transferLength: 9 }).data).toEqual(data);
    host.send(WRITE_10, { logicalBlockAddress: 13, transferLength: 9 }, { dataOut: data });
    expect(host.send(READ_10, { logicalBlockAddress: 13, transferLength: 9 }).data).toEqual(data);
    host.send(WRITE_12, { logicalBlockAddress: 22, transferLength: 9 }, { dataOut: data });
    expect(host.send(READ_12, { logicalBlockAddress: 22, transferLength: 9 }).data).toEqual(data);
    host.send(WRITE_16, { logicalBlockAddress: 47n, transferLength: 9 }, { dataOut: data });
    const answer = host.send(READ_16, { logicalBlockAddress: 47n, transferLength: 9 });
    expect(answer.data).toEqual(data);
    expect(answer.transferBytes).toBe(9 * 512);
    expect(array.frames.taken.size).toBe(0);
  });

  test("work on a volume of another director and on one of 4096-byte blocks", () => {
    for (const [lun, blockBytes] of [
      [1, 512],
      [2, 4096],
    ] as const) {
      const data = pattern(3 * blockBytes, lun);
      host.send(WRITE_10, { logicalBlockAddress: 5, transferLength: 3 }, { lun, dataOut: data });
      expect(host.send(READ_10, { logicalBlockAddress: 5, transferLength: 3 }, { lun }).data).toEqual(data);
    }
    expect(array.blocks[1].log).toContain("write 2560 1536");
  });

  test("READ(6) and WRITE(6) of length 0 move 256 blocks, the others none", () => {
    const data = pattern(256 * 512);
    expect(host.send(WRITE_6, { logicalBlockAddress: 1 }, { dataOut: data }).status).toBe(STATUS.GOOD);
    expect(host.send(READ_6, { logicalBlockAddress: 1 }).data).toEqual(data);
    expect(host.send(READ_10, { logicalBlockAddress: 1 })).toMatchObject({ status: STATUS.GOOD, transferBytes: 0 });
    expect(host.send(WRITE_10, { logicalBlockAddress: CAPACITY }, { dataOut: new Uint8Array(0) }).status).toBe(STATUS.GOOD);
  });

  test("answer 5/21/00 past the last block, with the first such block as INFORMATION, whatever the LBA", () => {
    const outOfRange = senseText("logicalBlockAddressOutOfRange");
    const answer = host.send(READ_10, { logicalBlockAddress: CAPACITY - 1, transferLength: 2 });
    expect(answer.sense).toBe(outOfRange);
    expect([...answer.senseData.subarray(0, 7)]).toEqual([0xf0, 0, 5, 0, 0, CAPACITY >> 8, CAPACITY & 0xff]);
    for (const lba of [BigInt(CAPACITY) + 1n, 1n << 31n, 1n << 53n, (1n << 63n) + 1n, (1n << 64n) - 1n]) {
      for (const transferLength of [0, 1, 0xffff_ffff]) {
        expect(host.send(READ_16, { logicalBlockAddress: lba, transferLength }).sense).toBe(outOfRange);
        expect(host.send(WRITE_16, { logicalBlockAddress: lba, transferLength }, { dataOut: pattern(512) }).sense).toBe(
          outOfRange,
        );
      }
    }
    expect(array.blocks[0].log).toEqual([]);
    expect(array.frames.taken.size).toBe(0);
  });

  test("take 4 MiB at an odd phase and refuse more with 5/24/00", () => {
    const blocks = (4 << 20) / 512;
    const data = pattern(4 << 20);
    expect(host.send(WRITE_16, { logicalBlockAddress: 7n, transferLength: blocks }, { dataOut: data }).status).toBe(STATUS.GOOD);
    expect(Buffer.compare(host.send(READ_16, { logicalBlockAddress: 7n, transferLength: blocks }).data, data)).toBe(0);
    const refused = host.send(READ_16, { logicalBlockAddress: 7n, transferLength: blocks + 1 });
    expect(refused.sense).toBe(senseText("invalidFieldInCdb"));
    expect([...refused.senseData.subarray(15, 18)]).toEqual([0xcf, 0, 10]);
    const write = host.send(WRITE_16, { logicalBlockAddress: 7n, transferLength: blocks + 1 }, { dataOut: data });
    expect(write.sense).toBe(senseText("invalidFieldInCdb"));
  });

  test("refuse every RDPROTECT and WRPROTECT but 0", () => {
    for (let protect = 1; protect < 8; protect += 1) {
      expect(host.send(READ_10, { rdprotect: protect, transferLength: 1 }).sense).toBe("05/24/00");
      expect(host.send(WRITE_10, { wrprotect: protect, transferLength: 1 }, { dataOut: pattern(512) }).sense).toBe("05/24/00");
    }
    expect(array.blocks[0].log).toEqual([]);
  });

  test("FUA forces a write, and makes the cache durable before a read; DPO changes nothing", () => {
    host.send(WRITE_10, { fua: 1, dpo: 1, transferLength: 1 }, { dataOut: pattern(512) });
    host.send(READ_10, { fua: 1, dpo: 1, transferLength: 1 });
    expect(array.blocks[0].log).toEqual(["write 0 512 fua", "flush 0 0 fua", "read 0 512"]);
  });

  test("a volume without a write cache is always written through", () => {
    array.blocks[0].change(1, { writeCacheEnabled: false });
    host.send(WRITE_10, { transferLength: 1 }, { dataOut: pattern(512) });
    expect(array.blocks[0].log).toEqual(["write 0 512 fua"]);
  });

  test("a write of which less was announced writes the whole blocks that came, GOOD", () => {
    host.send(WRITE_10, { transferLength: 2 }, { dataOut: pattern(1024, 1) });
    const short = host.send(WRITE_10, { transferLength: 2 }, { dataOut: pattern(512, 2) });
    expect(short).toMatchObject({ status: STATUS.GOOD, transferBytes: 1024 });
    const part = host.send(WRITE_10, { transferLength: 1 }, { dataOut: pattern(200, 3) });
    expect(part).toMatchObject({ status: STATUS.GOOD, transferBytes: 512 });
    const none = host.send(WRITE_10, { transferLength: 1 }, { writeFlag: true, expected: 0 });
    expect(none).toMatchObject({ status: STATUS.GOOD, transferBytes: 512 });
    const data = host.send(READ_10, { transferLength: 2 }).data;
    expect(data.subarray(0, 512)).toEqual(pattern(512, 2));
    expect(data.subarray(512)).toEqual(pattern(1024, 1).subarray(512));
    expect(array.frames.taken.size).toBe(0);
  });

  test("a write of which more was announced writes what the CDB says", () => {
    const long = host.send(WRITE_10, { transferLength: 1 }, { dataOut: pattern(1024, 4) });
    expect(long).toMatchObject({ status: STATUS.GOOD, transferBytes: 512 });
    expect(host.send(READ_10, { logicalBlockAddress: 1, transferLength: 1 }).data).toEqual(new Uint8Array(512));
  });

  test("a write whose data was not collected, though it was announced, answers BUSY and writes nothing", () => {
    array.route([{ lun: 1, volume: 2 }]);
    const late = array.initiator();
    // The volume shows up between plan and submit: the plan below saw no logical unit.
    const { planDataOut } = array.targets[0];
    array.targets[0].planDataOut = (_lun, _cdb, plan) => {
      plan.bytes = 0;
      plan.phase = 0;
    };
    const answer = late.send(WRITE_10, { transferLength: 1 }, { lun: 1, dataOut: pattern(512) });
    array.targets[0].planDataOut = planDataOut;
    expect(answer.status).toBe(STATUS.BUSY);
    expect(array.blocks[1].log).toEqual([]);
  });

  test("a direction flag against the CDB is 5/24/00 without data; READ as a write is GOOD, all of it residual", () => {
    const write = host.send(WRITE_10, { transferLength: 1 }, { readFlag: true, writeFlag: false, expected: 512 });
    expect(write.sense).toBe("05/24/00");
    const read = host.send(READ_10, { transferLength: 1 }, { writeFlag: true, expected: 512 });
    expect(read).toMatchObject({ status: STATUS.GOOD, transferBytes: 0 });
    expect(read.data.length).toBe(0);
    expect(array.blocks[0].log).toEqual([]);
  });

  test("pins are given back by release, not before", () => {
    host.autoRelease = false;
    host.send(READ_10, { transferLength: 16 });
    host.send(READ_10, { transferLength: 16 });
    expect(array.frames.taken.size).toBe(4);
    host.releaseAll();
    expect(array.frames.taken.size).toBe(0);
  });

  test.each([
    [BLOCK_STATUS.mediumError, "03/11/00"],
    [BLOCK_STATUS.spaceExhausted, "07/27/07"],
    [BLOCK_STATUS.failed, "04/44/00"],
    [BLOCK_STATUS.noVolume, "05/25/00"],
  ])("block status %i becomes %s on read and write", (status, sense) => {
    for (const operation of ["read", "write"] as const)
      array.blocks[0].fail.set(operation, { status, errorOffsetBytes: 5 * 512 });
    const read = host.send(READ_10, { transferLength: 8 });
    expect(read.sense).toBe(sense);
    expect(read.data.length).toBe(0);
    if (status === BLOCK_STATUS.mediumError) expect([...read.senseData.subarray(0, 7)]).toEqual([0xf0, 0, 3, 0, 0, 0, 5]);
    expect(host.send(WRITE_10, { transferLength: 8 }, { dataOut: pattern(4096) }).sense).toBe(sense);
    expect(array.frames.taken.size).toBe(0);
  });

  test("no frames is TASK SET FULL", () => {
    array.blocks[0].fail.set("write", { status: BLOCK_STATUS.noMemory, errorOffsetBytes: 0 });
    expect(host.send(WRITE_10, { transferLength: 8 }, { dataOut: pattern(4096) }).status).toBe(STATUS.TASK_SET_FULL);
  });
});

describe("VERIFY and WRITE AND VERIFY (SBC-3 §5.31, §5.39)", () => {
  test("BYTCHK 0 reads, 1 compares all blocks, 3 each block with one; a difference is E/1D/00 at its block", () => {
    const data = pattern(9 * 512);
    host.send(WRITE_10, { logicalBlockAddress: 3, transferLength: 9 }, { dataOut: data });
    const range = { logicalBlockAddress: 3, transferLength: 9 };
    expect(host.send(VERIFY_10, range).status).toBe(STATUS.GOOD);
    expect(host.send(VERIFY_10, { ...range, bytchk: 1 }, { dataOut: data }).status).toBe(STATUS.GOOD);
    const changed = data.slice();
    changed[8 * 512 + 11]! ^= 0x58;
    const mismatch = host.send(VERIFY_10, { ...range, bytchk: 1 }, { dataOut: changed });
    expect(mismatch.sense).toBe("0e/1d/00");
    expect(mismatch.senseData[6]).toBe(11);
    expect(host.send(VERIFY_10, range, { dataOut: changed }).status).toBe(STATUS.GOOD);
    expect(host.send(VERIFY_10, { ...range, bytchk: 3 }, { dataOut: data.slice(0, 512) }).sense).toBe("0e/1d/00");
    host.send(WRITE_SAME_10, range, { dataOut: data.slice(0, 512) });
    expect(
      host.send(VERIFY_16, { logicalBlockAddress: 3n, transferLength: 9, bytchk: 3 }, { dataOut: data.slice(0, 512) }).status,
    ).toBe(STATUS.GOOD);
    expect(array.frames.taken.size).toBe(0);
  });

  test("refuse BYTCHK 2, protection, short data-out and blocks past the end", () => {
    expect(host.send(VERIFY_10, { bytchk: 2, transferLength: 1 }).sense).toBe("05/24/00");
    expect(host.send(VERIFY_10, { vrprotect: 1, transferLength: 1 }).sense).toBe("05/24/00");
    expect(host.send(VERIFY_10, { bytchk: 1, transferLength: 2 }, { dataOut: pattern(512) }).sense).toBe("05/0e/03");
    expect(host.send(VERIFY_10, { bytchk: 3, transferLength: 2 }, { dataOut: pattern(100) }).sense).toBe("05/0e/03");
    expect(host.send(VERIFY_10, { logicalBlockAddress: CAPACITY + 1, bytchk: 1 }).sense).toBe("05/21/00");
    expect(host.send(VERIFY_10, { bytchk: 1 }, { dataOut: new Uint8Array(0) }).status).toBe(STATUS.GOOD);
    expect(host.send(WRITE_AND_VERIFY_10, { bytchk: 2, transferLength: 1 }, { dataOut: pattern(512) }).sense).toBe("05/24/00");
    expect(array.frames.taken.size).toBe(0);
  });

  test("WRITE AND VERIFY is forced, read back, and compared with BYTCHK 1", () => {
    const data = pattern(5 * 512);
    const range = { logicalBlockAddress: 6, transferLength: 5 };
    expect(host.send(WRITE_AND_VERIFY_10, range, { dataOut: data }).status).toBe(STATUS.GOOD);
    expect(array.blocks[0].log).toEqual(["write 3072 2560 fua", "read 3072 2560"]);
    expect(host.send(WRITE_AND_VERIFY_10, { ...range, bytchk: 1 }, { dataOut: data }).status).toBe(STATUS.GOOD);
    expect(host.send(READ_10, range).data).toEqual(data);
    // A medium that returns something else.
    array.blocks[0].held = true;
    const wrong = host.send(WRITE_AND_VERIFY_10, { ...range, bytchk: 1 }, { dataOut: data });
    array.blocks[0].step();
    array.blocks[0].bytes.get(1)![3072 + 700]! ^= 1;
    array.blocks[0].step();
    expect(wrong.sense).toBe("0e/1d/00");
    expect(wrong.senseData[6]).toBe(7);
    expect(array.frames.taken.size).toBe(0);
  });

  test.each(["read", "write"] as const)("a %s that fails inside WRITE AND VERIFY gives every frame back", (operation) => {
    array.blocks[0].fail.set(operation, { status: BLOCK_STATUS.failed, errorOffsetBytes: 0 });
    const answer = host.send(WRITE_AND_VERIFY_10, { bytchk: 1, transferLength: 9 }, { dataOut: pattern(9 * 512) });
    expect(answer.sense).toBe("04/44/00");
    expect(array.frames.taken.size).toBe(0);
  });
});

describe("WRITE SAME (SBC-3 §5.44)", () => {
  test("writes a pattern in pieces, at any phase", () => {
    const block = pattern(512, 9);
    const blocks = 1500;
    expect(host.send(WRITE_SAME_10, { logicalBlockAddress: 5, transferLength: blocks }, { dataOut: block }).status).toBe(
      STATUS.GOOD,
    );
    expect(array.blocks[0].log).toEqual(["write 2560 259584", "write 262144 262144", "write 524288 246272"]);
    const volume = array.blocks[0].bytes.get(1)!;
    for (let i = 0; i < blocks; i += 1) expect(Buffer.compare(volume.subarray((5 + i) * 512, (6 + i) * 512), block)).toBe(0);
    expect(volume[4 * 512]).toBe(0);
    expect(volume[(5 + blocks) * 512]).toBe(0);
    expect(array.frames.taken.size).toBe(0);
  });

  test("zeros give the space back, with or without UNMAP, and NDOB needs no data", () => {
    host.send(WRITE_10, { transferLength: 64 }, { dataOut: pattern(64 * 512) });
    array.blocks[0].log.length = 0;
    host.send(WRITE_SAME_10, { transferLength: 8 }, { dataOut: new Uint8Array(512) });
    host.send(WRITE_SAME_10, { logicalBlockAddress: 8, transferLength: 8, unmap: 1 }, { dataOut: new Uint8Array(512) });
    host.send(
      WRITE_SAME_16,
      { logicalBlockAddress: 16n, transferLength: 8, ndob: 1, unmap: 1 },
      { readFlag: false, expected: 0 },
    );
    expect(array.blocks[0].log).toEqual(["zero 0 4096", "zero 4096 4096", "zero 8192 4096"]);
    expect(host.send(READ_10, { transferLength: 24 }).data).toEqual(new Uint8Array(24 * 512));
  });

  test("UNMAP of a pattern that is not zeros writes the pattern", () => {
    const block = pattern(512, 3);
    host.send(WRITE_SAME_16, { transferLength: 2, unmap: 1 }, { dataOut: block });
    expect(host.send(READ_10, { transferLength: 1 }).data).toEqual(block);
  });

  test("refuses a data-out that is not one block, announced or sent", () => {
    for (const bytes of [0, 256, 1024]) {
      const answer = host.send(WRITE_SAME_10, { transferLength: 1, unmap: 1 }, { dataOut: new Uint8Array(bytes) });
      expect(answer.sense).toBe("05/0e/03");
    }
    expect(array.frames.taken.size).toBe(0);
  });

  test("refuses ANCHOR, WRPROTECT, 0 blocks (WSNZ), too many, and first of all what is past the end", () => {
    const dataOut = new Uint8Array(512);
    expect(host.send(WRITE_SAME_10, { anchor: 1, unmap: 1, transferLength: 1 }, { dataOut }).sense).toBe("05/24/00");
    expect(host.send(WRITE_SAME_10, { wrprotect: 1, transferLength: 1 }, { dataOut }).sense).toBe("05/24/00");
    expect(host.send(WRITE_SAME_10, {}, { dataOut }).sense).toBe("05/24/00");
    expect(host.send(WRITE_SAME_10, { logicalBlockAddress: CAPACITY + 1 }, { dataOut }).sense).toBe("05/21/00");
    array.blocks[0].change(1, { sizeBytes: 2 ** 40 });
    expect(host.send(WRITE_SAME_16, { transferLength: (16 << 20) / 512 + 1 }, { dataOut }).sense).toBe("05/24/00");
    expect(array.blocks[0].log).toEqual([]);
  });

  test("waits for frames instead of failing when there are none", () => {
    const hoard = new Int32Array(6144);
    expect(array.frames.tryTake(6144 - 1, hoard, 0)).toBe(true);
    const answer = host.send(WRITE_SAME_10, { transferLength: 16 }, { dataOut: pattern(512) });
    expect(answer.completions).toBe(0);
    for (const frame of hoard.subarray(0, 100)) array.frames.give(frame);
    array.frames.serveWaiters();
    expect(answer).toMatchObject({ completions: 1, status: STATUS.GOOD });
    expect(host.send(READ_10, { logicalBlockAddress: 15, transferLength: 1 }).data).toEqual(pattern(512));
  });
});

describe("UNMAP (SBC-3 §5.28)", () => {
  test("zeroes the ranges, neighbours joined", () => {
    host.send(WRITE_10, { transferLength: 64 }, { dataOut: pattern(64 * 512) });
    array.blocks[0].log.length = 0;
    const answer = unmap([
      [1n, 3],
      [4n, 2],
      [20n, 1],
      [9n, 0],
    ]);
    expect(answer.status).toBe(STATUS.GOOD);
    expect(array.blocks[0].log).toEqual(["zero 512 2560", "zero 10240 512"]);
    const volume = array.blocks[0].bytes.get(1)!;
    expect(volume.subarray(512, 6 * 512)).toEqual(new Uint8Array(5 * 512));
    expect(volume.subarray(0, 512)).toEqual(pattern(512));
    expect(array.frames.taken.size).toBe(0);
  });

  test("no list, no descriptors and no blocks are no errors", () => {
    expect(host.send(UNMAP, {}, { dataOut: new Uint8Array(0) }).status).toBe(STATUS.GOOD);
    expect(unmap([]).status).toBe(STATUS.GOOD);
    expect(unmap([[BigInt(CAPACITY), 0]]).status).toBe(STATUS.GOOD);
    expect(unmap(Array.from({ length: 256 }, (_, i) => [BigInt(i >> 1), 0] as const)).status).toBe(STATUS.GOOD);
    expect(array.blocks[0].log).toEqual([]);
  });

  test("does nothing at all when one range is past the end", () => {
    expect(
      unmap([
        [0n, 8],
        [BigInt(CAPACITY) - 1n, 2],
      ]).sense,
    ).toBe("05/21/00");
    expect(unmap([[(1n << 64n) - 1n, 0xffff_ffff]]).sense).toBe("05/21/00");
    expect(array.blocks[0].log).toEqual([]);
  });

  test("refuses lists that are too short, too many descriptors, too many blocks, and ANCHOR", () => {
    const list = unmapList([[0n, 1]]);
    expect(host.send(UNMAP, { parameterListLength: 7 }, { dataOut: list }).sense).toBe("05/1a/00");
    expect(host.send(UNMAP, { parameterListLength: 24 }, { dataOut: list.subarray(0, 20) }).sense).toBe("05/1a/00");
    expect(host.send(UNMAP, { parameterListLength: 16 }, { dataOut: list.subarray(0, 16) }).sense).toBe("05/1a/00");
    expect(unmap(Array.from({ length: 257 }, () => [0n, 0] as const)).sense).toBe("05/26/00");
    array.blocks[0].change(1, { sizeBytes: 2 ** 40 });
    expect(unmap([[0n, (512 << 20) / 512 + 1]]).sense).toBe("05/26/00");
    expect(host.send(UNMAP, { anchor: 1, parameterListLength: 24 }, { dataOut: list }).sense).toBe("05/24/00");
    expect(array.frames.taken.size).toBe(0);
  });

  test("stops at the first range that fails", () => {
    array.blocks[0].fail.set("zero", { status: BLOCK_STATUS.failed, errorOffsetBytes: 0 });
    expect(
      unmap([
        [0n, 1],
        [5n, 1],
      ]).sense,
    ).toBe("04/44/00");
    expect(array.blocks[0].log).toEqual(["zero 0 512"]);
  });
});

describe("SYNCHRONIZE CACHE, PRE-FETCH, START STOP UNIT (SBC-3 §5.26, §5.8, §5.25)", () => {
  test("a flush is awaited, or not with IMMED", () => {
    array.blocks[0].held = true;
    const awaited = host.send(SYNCHRONIZE_CACHE_10);
    const immediate = host.send(SYNCHRONIZE_CACHE_16, { immed: 1 });
    expect(awaited.completions).toBe(0);
    expect(immediate.status).toBe(STATUS.GOOD);
    expect(array.blocks[0].pending).toBe(2);
    while (array.blocks[0].step());
    expect(awaited.status).toBe(STATUS.GOOD);
  });

  test("check their range", () => {
    expect(host.send(SYNCHRONIZE_CACHE_10, { logicalBlockAddress: CAPACITY, transferLength: 1 }).sense).toBe("05/21/00");
    expect(host.send(PRE_FETCH_10, { logicalBlockAddress: CAPACITY + 1 }).sense).toBe("05/21/00");
    expect(host.send(PRE_FETCH_10, { logicalBlockAddress: CAPACITY - 1, transferLength: 1, immed: 1 }).status).toBe(STATUS.GOOD);
  });

  test("a flush that fails is 4/44/00", () => {
    array.blocks[0].fail.set("flush", { status: BLOCK_STATUS.failed, errorOffsetBytes: 0 });
    expect(host.send(SYNCHRONIZE_CACHE_10).sense).toBe("04/44/00");
    expect(host.send(READ_10, { fua: 1, transferLength: 1 }).sense).toBe("04/44/00");
  });

  test("stop flushes and the unit stays ready; LOEJ and power conditions are refused", () => {
    expect(host.send(START_STOP_UNIT, { start: 0 }).status).toBe(STATUS.GOOD);
    expect(array.blocks[0].log).toEqual(["flush 0 0 fua"]);
    expect(host.send(START_STOP_UNIT, { start: 1 }).status).toBe(STATUS.GOOD);
    expect(host.send(START_STOP_UNIT, { powerCondition: 1 }).status).toBe(STATUS.GOOD);
    expect(host.send(START_STOP_UNIT, { noFlush: 1 }).status).toBe(STATUS.GOOD);
    expect(array.blocks[0].log.length).toBe(1);
    expect(host.send(START_STOP_UNIT, { loej: 1 }).sense).toBe("05/24/00");
    expect(host.send(START_STOP_UNIT, { powerCondition: 3 }).sense).toBe("05/24/00");
  });
});
