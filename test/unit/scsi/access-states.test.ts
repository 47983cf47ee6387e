/** Volumes that change owners, as hosts see it: commands that wait, ALUA states, what survives the owner, what is refused as late. */
import { beforeEach, describe, expect, test, vi } from "vitest";
import { INQUIRY } from "../../../src/scsi/cdb/inquiry.ts";
import { READ_10 } from "../../../src/scsi/cdb/read.ts";
import { REPORT_LUNS } from "../../../src/scsi/cdb/report-luns.ts";
import { REPORT_TARGET_PORT_GROUPS } from "../../../src/scsi/cdb/report-target-port-groups.ts";
import { REQUEST_SENSE } from "../../../src/scsi/cdb/request-sense.ts";
import { RELEASE_6, RESERVE_6 } from "../../../src/scsi/cdb/reserve.ts";
import { TEST_UNIT_READY } from "../../../src/scsi/cdb/test-unit-ready.ts";
import { WRITE_10 } from "../../../src/scsi/cdb/write.ts";
import { COMMAND_AGE_MAX_MICROSECONDS } from "../../../src/scsi/command-age.ts";
import { HELD_MICROSECONDS, HELD_TASKS_MAX } from "../../../src/scsi/held-tasks.ts";
import { STATUS } from "../../../src/scsi/task.ts";
import type { ScsiInitiator } from "../../support/scsi-initiator.ts";
import { type TestTarget, testTarget } from "../../support/scsi-target.ts";

/** LUN 0, volume 1: director 0 owns it, as it begins. */
const LUN = { lun: 0 };
let array: TestTarget;
/** At the owner's port, and at the other. */
let near: ScsiInitiator;
let far: ScsiInitiator;

beforeEach(() => {
  vi.restoreAllMocks();
  array = testTarget();
  near = array.initiator(0);
  far = array.initiator(1);
});

function states(host: ScsiInitiator): Record<number, string> {
  const data = Buffer.from(host.send(REPORT_TARGET_PORT_GROUPS, { allocationLength: 255 }, LUN).data);
  const found: Record<number, string> = {};
  for (let at = 4; at < data.length; at += 12) {
    const preferred = (data[at]! & 0x80) !== 0 ? " preferred" : "";
    found[data.readUInt16BE(at + 2)] =
      `${{ 0: "optimized", 1: "nonOptimized", 3: "unavailable", 15: "transitioning" }[data[at]! & 0x0f]}${preferred}`;
  }
  return found;
}

function transitioning(): void {
  array.reroute({ volumes: array.volumesWith(1, { access: "transitioning" }) });
}

/** Director 0 gave volume 1 up, or is dead; director 1 has it from now on. */
function ownerIs1(directorsDown: readonly number[] = []): void {
  array.carry(1, 0, 1);
  array.servers[1].adopt([1]);
  array.reroute({ volumes: array.volumesWith(1, { owner: 1 }), directorsDown }, [1, 0]);
}

const block = (byte: number) => ({ dataOut: new Uint8Array(512).fill(byte), ...LUN });

describe("a volume between two owners", () => {
  test("has its commands wait, and go on with the next owner in the order in which they came", () => {
    transitioning();
    const answers = [1, 2, 3].map((byte) => near.send(WRITE_10, { transferLength: 1 }, block(byte)));
    const read = far.send(READ_10, { transferLength: 1 }, LUN);
    expect([...answers, read].map(({ completions }) => completions)).toEqual([0, 0, 0, 0]);
    expect(array.blocks[0].log).toEqual([]);
    array.servers[0].release([1], () => {});
    ownerIs1();
    // Told of the change by their first command each.
    expect(answers.map(({ sense }) => sense)).toEqual(["06/2a/06", "", ""]);
    expect(read.sense).toBe("06/2a/06");
    expect(array.blocks[1].log.filter((line) => line.startsWith("write"))).toHaveLength(2);
    expect(far.send(READ_10, { transferLength: 1 }, LUN).data[0]).toBe(3);
    expect(array.frames.taken.size).toBe(0);
  });

  test("reports its ports transitioning, then the new owner's as optimized, and a director that is down as unavailable", () => {
    expect(states(near)).toEqual({ 1: "optimized preferred", 2: "nonOptimized" });
    transitioning();
    expect(states(near)).toEqual({ 1: "transitioning preferred", 2: "transitioning" });
    array.servers[0].release([1], () => {});
    ownerIs1([0]);
    far.send(TEST_UNIT_READY, {}, LUN);
    expect(states(far)).toEqual({ 1: "unavailable", 2: "optimized preferred" });
    array.reroute({ volumes: array.volumesWith(1, { owner: 1 }) });
    expect(far.send(TEST_UNIT_READY, {}, LUN).sense).toBe("06/2a/06");
    expect(states(far)).toEqual({ 1: "nonOptimized", 2: "optimized preferred" });
  });

  test("answers what needs no owner at once", () => {
    transitioning();
    expect(near.send(INQUIRY, { allocationLength: 36 }, LUN)).toMatchObject({ status: STATUS.GOOD, transferBytes: 36 });
    expect(near.send(REPORT_LUNS, { allocationLength: 64 }, LUN).status).toBe(STATUS.GOOD);
    const sense = near.send(REQUEST_SENSE, { allocationLength: 18 }, LUN);
    expect([sense.data[2], sense.data[12], sense.data[13]]).toEqual([2, 0x04, 0x0a]);
  });

  test("answers 2/04/0A to those that have waited long enough, and to those for which there is no room", () => {
    let now = 5_000_000;
    vi.spyOn(array.global.clock, "nowMicroseconds").mockImplementation(() => now);
    transitioning();
    const first = near.send(WRITE_10, { transferLength: 1 }, block(1));
    now += HELD_MICROSECONDS / 2;
    array.targets[0].tick();
    transitioning(); // it waits on, and its time with it
    const second = near.send(TEST_UNIT_READY, {}, LUN);
    now += HELD_MICROSECONDS / 2;
    array.targets[0].tick();
    expect([first.sense, second.completions]).toEqual(["02/04/0a", 0]);
    for (let n = 1; n < HELD_TASKS_MAX; n += 1) near.send(TEST_UNIT_READY, {}, LUN);
    expect(near.send(TEST_UNIT_READY, {}, LUN).sense).toBe("02/04/0a");
    expect(array.targets[0].held).toBe(HELD_TASKS_MAX);
    now += HELD_MICROSECONDS;
    array.targets[0].tick();
    expect([array.targets[0].held, second.sense, array.frames.taken.size]).toEqual([0, "02/04/0a", 0]);
  });

  test("counts the time that a command had waited elsewhere", () => {
    let now = 5_000_000;
    vi.spyOn(array.global.clock, "nowMicroseconds").mockImplementation(() => now);
    transitioning();
    const arrivedMicroseconds = now - HELD_MICROSECONDS + 1000;
    const write = near.send(WRITE_10, { transferLength: 1 }, { ...block(1), arrivedMicroseconds });
    array.targets[0].tick();
    expect(write.completions).toBe(0);
    now += 1000;
    array.targets[0].tick();
    expect(write.sense).toBe("02/04/0a");
  });

  test("has a reset wait, too", () => {
    transitioning();
    const outcomes: boolean[] = [];
    array.targets[1].resetLogicalUnit(far.nexus, 0, (exists) => outcomes.push(exists));
    expect(outcomes).toEqual([]);
    array.servers[0].release([1], () => {});
    ownerIs1();
    expect(outcomes).toEqual([true]);
    expect(far.send(TEST_UNIT_READY, {}, LUN).sense).toBe("06/29/03");
  });

  test("refuses a reset that has waited for as long as it may: its unit is there, and was not reset", () => {
    transitioning();
    const outcomes: unknown[] = [];
    array.targets[1].resetLogicalUnit(far.nexus, 0, (exists, moved) => outcomes.push({ exists, moved }));
    const now = array.global.clock.nowMicroseconds();
    vi.spyOn(array.global.clock, "nowMicroseconds").mockImplementation(() => now + HELD_MICROSECONDS + 1000);
    array.targets[1].tick();
    expect(outcomes).toEqual([{ exists: true, moved: true }]);
  });

  test("that nobody can serve answers 2/04/0C, but INQUIRY and REPORT LUNS", () => {
    array.reroute({ volumes: array.volumesWith(1, { access: "unavailable" }) });
    expect(near.send(WRITE_10, { transferLength: 1 }, block(1)).sense).toBe("02/04/0c");
    expect(near.send(INQUIRY, { allocationLength: 36 }, LUN).status).toBe(STATUS.GOOD);
    expect(states(near)).toEqual({ 1: "unavailable preferred", 2: "unavailable" });
    array.reroute({});
    expect(near.send(TEST_UNIT_READY, {}, LUN).sense).toBe("06/2a/06");
    expect(near.send(WRITE_10, { transferLength: 1 }, block(1)).status).toBe(STATUS.GOOD);
    expect(array.frames.taken.size).toBe(0);
  });
});

describe("a unit that its owner releases", () => {
  test("is released when its commands have ended; those that come go to the next owner without an error", () => {
    array.blocks[0].held = true;
    const running = near.send(WRITE_10, { transferLength: 1 }, block(7));
    let released = false;
    array.servers[0].release([1], () => {
      released = true;
    });
    // A director that has the routing of before sends it a command all the same.
    const late = far.send(READ_10, { transferLength: 1 }, LUN);
    expect([released, late.completions]).toEqual([false, 0]);
    array.blocks[0].step();
    expect([released, running.status]).toEqual([true, STATUS.GOOD]);
    ownerIs1();
    expect(late.sense).toBe("06/2a/06");
    expect(far.send(READ_10, { transferLength: 1 }, LUN).data[0]).toBe(7);
  });

  test("stays where it is when the move does not come about", () => {
    array.servers[0].release([1], () => {});
    const late = near.send(TEST_UNIT_READY, {}, LUN);
    array.servers[0].adopt([1]);
    array.reroute({});
    expect(late.status).toBe(STATUS.GOOD);
  });
});

describe("what survives the owner of a unit", () => {
  test("reservations, and unit attentions that are not told yet; who has met the unit hears no POWER ON", () => {
    expect(far.send(RESERVE_6, {}, LUN).status).toBe(STATUS.GOOD);
    array.servers[0].onVolumeGrown(1);
    // Director 0 is gone: nothing is asked of it.
    ownerIs1([0]);
    const told = [1, 2, 3].map(() => far.send(TEST_UNIT_READY, {}, LUN).sense);
    expect(told).toEqual(["06/2a/06", "06/2a/09", ""]);
    const other = array.initiator(1, { fresh: true });
    expect(other.send(TEST_UNIT_READY, {}, LUN).status).toBe(STATUS.RESERVATION_CONFLICT);
    expect(far.send(RELEASE_6, {}, LUN).status).toBe(STATUS.GOOD);
    expect(other.send(TEST_UNIT_READY, {}, LUN).sense).toBe("06/29/00");
  });

  test("nothing of a nexus that went with the owner", () => {
    expect(near.send(RESERVE_6, {}, LUN).status).toBe(STATUS.GOOD);
    array.servers[1].nexusClosed(near.nexus);
    ownerIs1([0]);
    expect(far.send(TEST_UNIT_READY, {}, LUN).sense).toBe("06/2a/06");
    expect(far.send(TEST_UNIT_READY, {}, LUN).status).toBe(STATUS.GOOD);
    array.servers[1].nexusOpened({ nexus: near.nexus, initiatorName: "iqn.2026-11.test:new", isid: "0", directorIndex: 0 });
    expect(near.send(TEST_UNIT_READY, {}, LUN).sense).toBe("06/29/00");
  });

  test("a unit attention that its owner told with its last breath is told again; one that was heard is not", () => {
    array.servers[0].onVolumeGrown(1);
    expect(far.send(TEST_UNIT_READY, {}, LUN).sense).toBe("06/2a/09");
    ownerIs1([0]);
    expect([1, 2, 3].map(() => far.send(TEST_UNIT_READY, {}, LUN).sense)).toEqual(["06/2a/06", "06/2a/09", ""]);
  });

  test("not the state of a volume whose director starts anew with it", () => {
    far.send(RESERVE_6, {}, LUN);
    const again = testTarget({ global: array.global });
    expect(again.initiator(0, { fresh: true }).send(TEST_UNIT_READY, {}, LUN).sense).toBe("06/29/00");
  });
});

describe("executed once", () => {
  test("a write that may have come long ago is refused, and so is its director's when it is dead; a read is not", () => {
    const now = 10 * COMMAND_AGE_MAX_MICROSECONDS;
    vi.spyOn(array.global.clock, "nowMicroseconds").mockImplementation(() => now);
    const old = { arrivedMicroseconds: now - COMMAND_AGE_MAX_MICROSECONDS - 1 };
    expect(near.send(WRITE_10, { transferLength: 1 }, { ...block(1), ...old }).status).toBe(STATUS.BUSY);
    expect(near.send(RESERVE_6, {}, { ...LUN, ...old }).status).toBe(STATUS.BUSY);
    expect(near.send(READ_10, { transferLength: 1 }, { ...LUN, ...old }).data[0]).toBe(0);
    const young = { arrivedMicroseconds: now - COMMAND_AGE_MAX_MICROSECONDS };
    expect(near.send(WRITE_10, { transferLength: 1 }, { ...block(1), ...young }).status).toBe(STATUS.GOOD);
    expect(array.frames.taken.size).toBe(0);
  });

  test("a repeat of what the dead owner executed is acknowledged, durable, and does not undo what was written since", () => {
    const { executed } = array.servers[0];
    const sent = { request: 77, requesterEpoch: 4 };
    executed.expect([{ director: 1, epoch: 4 + 65_536, request: 77 }]);
    executed.found({ nexus: far.nexus, ...sent });
    executed.found({ nexus: far.nexus, request: 78, requesterEpoch: 4 }); // nobody waits for it
    near.send(WRITE_10, { transferLength: 1 }, block(2)); // it was overwritten
    const repeat = far.send(WRITE_10, { transferLength: 1 }, { ...block(1), repeatOf: sent });
    expect(repeat).toMatchObject({ status: STATUS.GOOD, transferBytes: 512 });
    expect(array.blocks[0].log.at(-1)).toBe("flush 0 0 fua");
    expect(near.send(READ_10, { transferLength: 1 }, LUN).data[0]).toBe(2);
    // Others are executed: another number, another epoch, another director's.
    for (const [host, repeatOf] of [
      [far, { ...sent, request: 78 }],
      [far, { ...sent, requesterEpoch: 5 }],
      [near, sent],
    ] as const) {
      host.send(WRITE_10, { transferLength: 1 }, { ...block(9), repeatOf });
      expect(near.send(READ_10, { transferLength: 1 }, LUN).data[0]).toBe(9);
      near.send(WRITE_10, { transferLength: 1 }, block(2));
    }
    expect(array.frames.taken.size).toBe(0);
  });
});
