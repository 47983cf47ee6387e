import { beforeEach, describe, expect, test } from "vitest";
import { counterBlock } from "../../../drivers/shared-memory/counters.ts";
import { INQUIRY } from "../../../src/scsi/cdb/inquiry.ts";
import { MODE_SENSE_6 } from "../../../src/scsi/cdb/mode-sense.ts";
import { READ_10 } from "../../../src/scsi/cdb/read.ts";
import { READ_CAPACITY_10, READ_CAPACITY_16 } from "../../../src/scsi/cdb/read-capacity.ts";
import { REQUEST_SENSE } from "../../../src/scsi/cdb/request-sense.ts";
import { RELEASE_6, RELEASE_10, RESERVE_6, RESERVE_10 } from "../../../src/scsi/cdb/reserve.ts";
import { SYNCHRONIZE_CACHE_10 } from "../../../src/scsi/cdb/synchronize-cache.ts";
import { TEST_UNIT_READY } from "../../../src/scsi/cdb/test-unit-ready.ts";
import { WRITE_10 } from "../../../src/scsi/cdb/write.ts";
import { SCSI_COUNTERS } from "../../../src/scsi/scsi-counters.ts";
import { STATUS, TASK_ATTRIBUTE } from "../../../src/scsi/task.ts";
import { TASK_SET_COMMANDS_MAX } from "../../../src/scsi/task-set.ts";
import type { ScsiInitiator } from "../../support/scsi-initiator.ts";
import { type TestTarget, testTarget, VOLUME_BYTES } from "../../support/scsi-target.ts";

let array: TestTarget;
let host: ScsiInitiator;

beforeEach(() => {
  array = testTarget();
  host = array.initiator();
});

const count = (name: keyof typeof SCSI_COUNTERS.slots): number =>
  counterBlock(array.global, "scsi", 0)[SCSI_COUNTERS.slots[name]]!;

describe("unit attentions (SAM-5 §5.14)", () => {
  test("the first command of a nexus at each logical unit gets 29/00, and has no effect", () => {
    const fresh = array.initiator(0, { fresh: true });
    expect(fresh.send(WRITE_10, { transferLength: 1 }, { dataOut: new Uint8Array(512) }).sense).toBe("06/29/00");
    expect(array.blocks[0].log).toEqual([]);
    expect(array.frames.taken.size).toBe(0);
    expect(fresh.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
    expect(fresh.send(TEST_UNIT_READY, {}, { lun: 2 }).sense).toBe("06/29/00");
    expect(host.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
  });

  test("INQUIRY leaves it pending, REQUEST SENSE returns it and takes it off", () => {
    const fresh = array.initiator(0, { fresh: true });
    expect(fresh.send(INQUIRY, { allocationLength: 36 }).status).toBe(STATUS.GOOD);
    const sense = fresh.send(REQUEST_SENSE, { allocationLength: 18 });
    expect([sense.status, sense.data[2], sense.data[12], sense.data[13]]).toEqual([STATUS.GOOD, 6, 0x29, 0]);
    expect([...fresh.send(REQUEST_SENSE, { allocationLength: 18 }).data.subarray(0, 3)]).toEqual([0x70, 0, 0]);
    expect(fresh.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
  });

  test("come in order of priority, each once, however often they were raised", () => {
    array.servers[0].onVolumeGrown(1);
    array.servers[0].onModeParametersChanged(1);
    array.servers[0].onVolumeGrown(1);
    array.targets[0].resetLogicalUnit(host.nexus, 0, () => {});
    const senses = [1, 2, 3, 4].map(() => host.send(TEST_UNIT_READY).sense);
    expect(senses).toEqual(["06/29/03", "06/2a/01", "06/2a/09", ""]);
  });

  test("2A/09 follows a grow, and the new capacity is there", () => {
    array.blocks[0].change(1, { sizeBytes: 2 * VOLUME_BYTES });
    array.servers[0].onVolumeGrown(1);
    expect(host.send(READ_CAPACITY_10).sense).toBe("06/2a/09");
    expect(Buffer.from(host.send(READ_CAPACITY_10).data).readUInt32BE(0)).toBe((2 * VOLUME_BYTES) / 512 - 1);
  });

  test("begin anew for a nexus number that is used again", () => {
    array.targets[0].nexusOpened({ nexus: host.nexus, initiatorName: "iqn.2026-11.test:next", isid: "0", directorIndex: 0 });
    for (const lun of [0, 1]) {
      expect(host.send(TEST_UNIT_READY, {}, { lun }).sense).toBe("06/29/00");
      expect(host.send(TEST_UNIT_READY, {}, { lun }).status).toBe(STATUS.GOOD);
    }
  });

  test("go with the nexus", () => {
    array.servers[0].onVolumeGrown(1);
    array.targets[0].nexusClosed(host.nexus);
    expect(host.send(TEST_UNIT_READY).sense).toBe("06/29/00");
    expect(host.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
  });
});

describe("RESERVE and RELEASE (SPC-2 §7.16)", () => {
  test.each([
    [RESERVE_6, RELEASE_6],
    [RESERVE_10, RELEASE_10],
  ] as const)("keep other nexuses out until the holder releases (%#)", (RESERVE, RELEASE) => {
    const other = array.initiator(1);
    expect(host.send(RESERVE).status).toBe(STATUS.GOOD);
    expect(host.send(RESERVE).status).toBe(STATUS.GOOD);
    for (const definition of [RESERVE, TEST_UNIT_READY, READ_10, SYNCHRONIZE_CACHE_10, MODE_SENSE_6]) {
      expect(other.send(definition).status).toBe(STATUS.RESERVATION_CONFLICT);
    }
    expect(other.send(WRITE_10, { transferLength: 1 }, { dataOut: new Uint8Array(512) }).status).toBe(
      STATUS.RESERVATION_CONFLICT,
    );
    expect(array.blocks[0].log).toEqual([]);
    for (const definition of [RELEASE, INQUIRY, REQUEST_SENSE, READ_CAPACITY_10, READ_CAPACITY_16]) {
      expect(other.send(definition).status).toBe(STATUS.GOOD);
    }
    expect(host.send(MODE_SENSE_6, { pageCode: 8 }).status).toBe(STATUS.GOOD);
    expect(other.send(RESERVE).status).toBe(STATUS.RESERVATION_CONFLICT);
    expect(host.send(RELEASE).status).toBe(STATUS.GOOD);
    expect(other.send(RESERVE).status).toBe(STATUS.GOOD);
    expect(array.frames.taken.size).toBe(0);
  });

  test("a conflict goes before a unit attention, which stays pending", () => {
    host.send(RESERVE_6);
    const fresh = array.initiator(0, { fresh: true });
    expect(fresh.send(TEST_UNIT_READY).status).toBe(STATUS.RESERVATION_CONFLICT);
    host.send(RELEASE_6);
    expect(fresh.send(TEST_UNIT_READY).sense).toBe("06/29/00");
  });

  test("end with the nexus and with a reset", () => {
    const other = array.initiator();
    host.send(RESERVE_6);
    array.targets[0].nexusClosed(host.nexus);
    expect(other.send(RESERVE_6).status).toBe(STATUS.GOOD);
    array.targets[0].resetLogicalUnit(other.nexus, 0, () => {});
    const third = array.initiator();
    expect(third.send(RESERVE_6).status).toBe(STATUS.GOOD);
  });

  test("extents and third parties are refused", () => {
    expect(host.send(RESERVE_6, { extent: 1 }).sense).toBe("05/24/00");
    expect(host.send(RESERVE_6, { thirdParty: 1 }).sense).toBe("05/24/00");
    expect(host.send(RESERVE_10, { longId: 1 }).sense).toBe("05/24/00");
  });
});

describe("task set (SAM-5 §8)", () => {
  test("ORDERED waits for older commands, younger ones wait for it, HEAD OF QUEUE for none", () => {
    const [blocks] = array.blocks;
    blocks.held = true;
    const order: string[] = [];
    const send = (name: string, attribute: number) => {
      const answer = host.send(READ_10, { logicalBlockAddress: 8 * order.length, transferLength: 8 }, { attribute });
      order.push(name);
      return answer;
    };
    const older = send("older", TASK_ATTRIBUTE.simple);
    const barrier = send("barrier", TASK_ATTRIBUTE.ordered);
    const younger = send("younger", TASK_ATTRIBUTE.simple);
    const head = send("head", TASK_ATTRIBUTE.headOfQueue);
    expect(blocks.pending).toBe(2);
    blocks.step();
    expect([older.completions, barrier.completions, head.completions]).toEqual([1, 0, 0]);
    expect(blocks.pending).toBe(1);
    blocks.step();
    expect([head.completions, blocks.pending]).toEqual([1, 1]);
    blocks.step();
    expect([barrier.completions, younger.completions, blocks.pending]).toEqual([1, 0, 1]);
    blocks.step();
    expect(younger).toMatchObject({ completions: 1, status: STATUS.GOOD });
    expect(count("tasks")).toBe(0);
  });

  test("answers TASK SET FULL past its bound, gives frames back, and goes on once there is room", () => {
    const [blocks] = array.blocks;
    blocks.held = true;
    for (let i = 0; i < TASK_SET_COMMANDS_MAX; i += 1) host.send(SYNCHRONIZE_CACHE_10);
    expect(host.send(WRITE_10, { transferLength: 1 }, { dataOut: new Uint8Array(512) }).status).toBe(STATUS.TASK_SET_FULL);
    expect(array.frames.taken.size).toBe(0);
    expect(count("taskSetFull")).toBe(1);
    while (blocks.step());
    blocks.held = false;
    expect(host.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
  });

  test("thousands of commands that wait behind an ORDERED one start without a recursion", () => {
    const [blocks] = array.blocks;
    blocks.held = true;
    const barrier = host.send(SYNCHRONIZE_CACHE_10, {}, { attribute: TASK_ATTRIBUTE.ordered });
    const waiting = Array.from({ length: 4000 }, (_, i) =>
      host.send(TEST_UNIT_READY, {}, { attribute: i % 3 === 0 ? TASK_ATTRIBUTE.ordered : TASK_ATTRIBUTE.simple }),
    );
    expect(waiting.every((answer) => answer.completions === 0)).toBe(true);
    blocks.step();
    expect(barrier.status).toBe(STATUS.GOOD);
    expect(waiting.every((answer) => answer.completions === 1 && answer.status === STATUS.GOOD)).toBe(true);
  });

  test("the ACA attribute and NACA are refused", () => {
    expect(host.send(TEST_UNIT_READY, {}, { attribute: TASK_ATTRIBUTE.aca }).sense).toBe("05/24/00");
    expect(host.sendCdb(Uint8Array.of(0, 0, 0, 0, 0, 4)).sense).toBe("05/24/00");
  });
});

describe("LOGICAL UNIT RESET (SAM-5 §6.3.3)", () => {
  test("is answered when every command that was in has ended, and not later", () => {
    const [blocks] = array.blocks;
    const other = array.initiator(1);
    blocks.held = true;
    const done: string[] = [];
    const before = [host.send(SYNCHRONIZE_CACHE_10), other.send(SYNCHRONIZE_CACHE_10)];
    array.targets[0].resetLogicalUnit(host.nexus, 0, (exists) => done.push(`first ${exists}`));
    const after = host.send(SYNCHRONIZE_CACHE_10);
    for (let i = 0; i < 3; i += 1) expect(host.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD); // younger: don't count
    array.targets[1].resetLogicalUnit(other.nexus, 0, (exists) => done.push(`second ${exists}`));
    expect(done).toEqual([]);
    blocks.step();
    expect(done).toEqual([]);
    blocks.step();
    expect(before.every((answer) => answer.status === STATUS.GOOD)).toBe(true);
    expect(done).toEqual(["first true"]);
    expect(after.completions).toBe(0);
    blocks.step();
    expect(done).toEqual(["first true", "second true"]);
    for (const one of [host, other]) {
      expect(one.send(TEST_UNIT_READY).sense).toBe("06/29/03");
      expect(one.send(TEST_UNIT_READY).status).toBe(STATUS.GOOD);
    }
  });
});

describe("commands that are not there", () => {
  test("unknown operation codes are 5/20/00, unknown service actions 5/24/00", () => {
    expect(host.sendCdb(Uint8Array.of(0xff, 1, 2, 3, 4, 5)).sense).toBe("05/20/00");
    expect(host.sendCdb(Uint8Array.of(0x4d, 0)).sense).toBe("05/20/00");
    const unknownAction = host.sendCdb(Uint8Array.of(0x9e, 0x13));
    expect(unknownAction.sense).toBe("05/24/00");
    expect([...unknownAction.senseData.subarray(15, 18)]).toEqual([0xcc, 0, 1]);
  });

  test("a volume that was deleted is 5/25/00", () => {
    array.blocks[0].removeVolume(1);
    array.servers[0].onVolumeDeleted(1);
    expect(host.send(READ_10, { transferLength: 1 }).sense).toBe("05/25/00");
    expect(host.send(WRITE_10, { transferLength: 1 }, { dataOut: new Uint8Array(512) }).sense).toBe("05/25/00");
    expect(array.frames.taken.size).toBe(0);
  });
});

describe("counters", () => {
  test("count commands by family, bytes, conditions by key, conflicts and unit attentions", () => {
    const before = { unitAttentions: count("unitAttentions"), checkIllegalRequest: count("checkIllegalRequest") };
    host.send(WRITE_10, { transferLength: 4 }, { dataOut: new Uint8Array(2048) });
    host.send(READ_10, { transferLength: 2 });
    host.send(READ_10, { rdprotect: 1 });
    host.send(RESERVE_6);
    array.initiator(0, { fresh: true }).send(TEST_UNIT_READY);
    host.send(RELEASE_6);
    array.initiator(0, { fresh: true }).send(TEST_UNIT_READY);
    expect([count("write"), count("read"), count("writtenBytes"), count("readBytes")]).toEqual([1, 2, 2048, 1024]);
    expect(count("checkIllegalRequest") - before.checkIllegalRequest).toBe(1);
    expect(count("unitAttentions") - before.unitAttentions).toBe(1);
    expect(count("reservationConflicts")).toBe(1);
  });
});
