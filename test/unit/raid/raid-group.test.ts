import { describe, expect, test } from "vitest";
import { type Drive, DriveError } from "../../../drivers/drive/drive.ts";
import { GroupFailedError, type Member, RaidGroup } from "../../../src/raid/raid-group.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import { turns } from "../../support/gated-drive.ts";

function group(count: number, onMemberLost: (member: Member) => Promise<void> = () => Promise.resolve()): RaidGroup {
  const members = Array.from({ length: count }, (_, position): Member => {
    const drive = { name: `0${position}` } as Drive;
    return { position, name: `0${position}`, driveId: `${position}`, state: "online", reason: undefined, drive };
  });
  return new RaidGroup(members, raidLevel({ dataDrives: count - 1 }), { onMemberLost, onNoSpace: () => Promise.resolve() });
}

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((settle) => {
    resolve = settle;
  });
  return { promise, resolve };
}

const failing = (position: number) => async (_: Drive, at: number) => {
  if (at === position) throw new DriveError("writeFailed", `0${at}`, "no");
};

describe("RaidGroup: a member that fails (invariants 1 to 3)", () => {
  test("is out, once, with its reason, and is on record before the operation counts as done", async () => {
    const record = deferred();
    const lost: string[] = [];
    const raid = group(4, (member) => {
      lost.push(member.name);
      return record.promise;
    });
    let done = false;
    const work = raid.onEach(raid.positions, failing(2)).then(() => {
      done = true;
    });
    await turns();
    expect(raid.state).toBe("degraded");
    expect(raid.writable(2)).toBeUndefined();
    expect(raid.members[2]).toMatchObject({ state: "failed", reason: expect.stringContaining("no") });
    expect(done).toBe(false);
    record.resolve();
    await work;
    await raid.lose(2, new Error("again"));
    expect(lost).toEqual(["02"]);
  });

  test("is on record before anybody else's operation counts as done that went on without it", async () => {
    const record = deferred();
    const raid = group(4, () => record.promise);
    const losing = raid.lose(1, new DriveError("unreachable", "01", "gone"));
    const positions: number[] = [];
    let done = false;
    const work = raid
      .onEach(raid.positions, async (_, position) => {
        positions.push(position);
      })
      .then(() => {
        done = true;
      });
    await turns();
    expect(positions).toEqual([0, 2, 3]);
    expect(done).toBe(false);
    record.resolve();
    await Promise.all([losing, work]);
    expect(raid.members[1]!.state).toBe("missing");
  });

  test("one more than the level tolerates ends the group", async () => {
    const raid = group(4);
    await raid.onEach(raid.positions, failing(0));
    await expect(raid.onEach(raid.positions, failing(3))).rejects.toThrow(GroupFailedError);
    expect(raid.state).toBe("failed");
    expect(raid.lostCount).toBe(2);
  });

  test("once more are lost than the level tolerates, nothing is written to the others", async () => {
    const raid = group(4);
    for (const position of [0, 3]) await raid.lose(position, new DriveError("unreachable", `0${position}`, "gone"));
    const written: number[] = [];
    const write = async (_: Drive, position: number): Promise<void> => void written.push(position);
    await expect(raid.onEach(raid.positions, write)).rejects.toThrow(GroupFailedError);
    await expect(raid.onEachUnrecorded(raid.positions, write)).rejects.toThrow(GroupFailedError);
    expect(written).toEqual([]);
  });

  test("a fenced drive says nothing against the drive, but ends its former owner", async () => {
    const raid = group(4);
    const fenced = raid.onEach(raid.positions, async (_, position) => {
      if (position === 1) throw new DriveError("fenced", "01", "a newer owner has it");
    });
    await expect(fenced).rejects.toMatchObject({ kind: "fenced" });
    expect(raid.state).toBe("optimal");
  });

  test("one that a spare should be built from is read and written as any other; one that is rebuilt is read where it is whole", async () => {
    const raid = group(4);
    const [, suspect, fresh] = raid.members;
    suspect!.state = "predictive";
    expect(raid.state).toBe("optimal");
    fresh!.state = "rebuilding";
    expect([raid.state, raid.lostCount]).toEqual(["degraded", 1]);
    const written: number[] = [];
    await raid.onEach(raid.positions, async (_, position) => void written.push(position));
    expect(written).toEqual([0, 1, 2, 3]);
    expect([raid.readable(1, 7), raid.readable(2, 7), raid.trusted(2)]).toEqual([suspect!.drive, undefined, undefined]);
    fresh!.hasZone = (zone) => zone === 7;
    expect([raid.readable(2, 7), raid.readable(2, 8), raid.trusted(2)]).toEqual([fresh!.drive, undefined, undefined]);
    await raid.lose(2, new DriveError("unreachable", "02", "gone"));
    expect([fresh!.state, raid.readable(2, 7), raid.writable(2)]).toEqual(["missing", undefined, undefined]);
    await raid.lose(1, new DriveError("writeFailed", "01", "no"));
    expect([suspect!.state, raid.state]).toEqual(["failed", "failed"]);
  });
});

test("RaidGroup: what waits for room on a drive is tried again as soon as another that waited for it is done", async () => {
  const waits: (() => void)[] = [];
  const members = group(4).members;
  const raid = new RaidGroup(members, raidLevel({ dataDrives: 3 }), {
    onMemberLost: () => Promise.reject(new Error("no drive is lost by that")),
    onNoSpace: () => new Promise((resolve) => waits.push(resolve)),
  });
  const done: number[] = [];
  const write = (strip: number) =>
    raid.onEach([2], async () => {
      // Strips rise: the second can't be written before the first is.
      if (waits.length < 2 || (strip === 1 && !done.includes(0))) throw new DriveError("noSpace", "02", "no room");
      done.push(strip);
    });
  const both = Promise.all([write(0), write(1)]);
  await turns();
  expect([waits.length, raid.waitingForRoom]).toEqual([2, 2]);
  // Nobody tells the second.
  waits[0]!();
  await both;
  expect(done).toEqual([0, 1]);
  expect(raid.waitingForRoom).toBe(0);
});
