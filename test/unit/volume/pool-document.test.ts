import { describe, expect, test } from "vitest";
import {
  type DocumentCopy,
  judgeCopies,
  type MemberDocument,
  type PoolDocument,
  type Unavailable,
  unsurePositions,
} from "../../../src/volume/pool-document.ts";

function document(
  version: number,
  states: readonly MemberDocument["state"][] = ["online", "online", "online", "online"],
  poolId = "pool",
): PoolDocument {
  return {
    formatVersion: 1,
    version,
    poolId,
    name: "A",
    epoch: version,
    journalId: "0".repeat(32),
    journalLive: true,
    raid: { level: 5, dataDrives: 3 },
    geometry: { blocksPerStrip: 4, stripesPerZone: 16, zoneSlots: 14 },
    members: states.map((state, n) => ({
      name: `0${n}`,
      driveId: `id-${n}`,
      state,
      ...(state === "online" ? {} : { reason: `was ${state}` }),
    })),
    volumeCount: 0,
    volumesDigest: 0,
  };
}

function copy(position: number, of: PoolDocument | undefined, driveId = `id-${position}`): DocumentCopy {
  return { position, driveId, document: of };
}

const NONE = new Map<number, never>();
const BAYS = ["00", "01", "02", "03", "08"];

function judge(copies: readonly DocumentCopy[], unavailable: ReadonlyMap<number, Unavailable> = NONE) {
  return judgeCopies({ name: "A", bays: BAYS, copies, unavailable });
}

describe("judgeCopies: which drives are trusted", () => {
  const now = document(10);
  type Case = [name: string, copies: DocumentCopy[], expected: string[], reason: RegExp | undefined];
  const cases: Case[] = [
    ["all alike", [0, 1, 2, 3].map((n) => copy(n, now)), ["online", "online", "online", "online"], undefined],
    [
      "one version behind: a crash while the document was written",
      [copy(0, now), copy(1, document(9)), copy(2, now), copy(3, now)],
      ["online", "online", "online", "online"],
      undefined,
    ],
    [
      "two versions behind: it was not there",
      [copy(0, now), copy(1, document(8)), copy(2, now), copy(3, now)],
      ["online", "rebuilding", "online", "online"],
      /older copy \(version 8, current 10\)/,
    ],
    [
      "only one drive has the newest",
      [copy(0, document(9)), copy(1, document(9)), copy(2, document(9)), copy(3, now)],
      ["online", "online", "online", "online"],
      undefined,
    ],
    [
      "another drive in its place",
      [copy(0, now), copy(1, now, "id-9"), copy(2, now), copy(3, now)],
      ["online", "foreign", "online", "online"],
      /another drive \(id-9\)/,
    ],
    [
      "two drives changed places: a member is who it says that it is, wherever",
      [copy(0, now), copy(1, now, "id-2"), copy(2, now, "id-1"), copy(3, now)],
      ["online", "online", "online", "online"],
      undefined,
    ],
    [
      "a drive without a document",
      [copy(0, now), copy(1, undefined), copy(2, now), copy(3, now)],
      ["online", "foreign", "online", "online"],
      /missing, damaged or of another pool/,
    ],
    [
      "a drive of another pool",
      [copy(0, now), copy(1, document(10, undefined, "other")), copy(2, now), copy(3, now)],
      ["online", "foreign", "online", "online"],
      /of another pool/,
    ],
    ["no copy at all of one", [copy(0, now), copy(2, now), copy(3, now)], ["online", "missing", "online", "online"], /not there/],
  ];
  test.each(cases)("%s", (_name, copies, expected, reason) => {
    const verdict = judge(copies)!;
    expect(verdict.document.version).toBe(10);
    expect(verdict.members.map((member) => member.state)).toEqual(expected);
    for (const member of verdict.members) {
      if (member.state === "online") expect(member.reason).toBeUndefined();
      else expect(member.reason).toMatch(reason!);
    }
  });

  test("a drive on record as failed stays out, though its own copy is the newest there is of it", () => {
    const newest = document(10, ["online", "online", "failed", "online"]);
    for (const own of [newest, document(9)]) {
      const verdict = judge([copy(0, newest), copy(1, newest), copy(2, own), copy(3, newest)])!;
      expect(verdict.members[2]).toEqual({ state: "failed", driveId: "id-2", reason: "was failed" });
    }
  });

  test("a drive that was not there and is again is brought up to date, and so is one that was being rebuilt", () => {
    for (const state of ["missing", "foreign", "rebuilding"] as const) {
      const newest = document(10, ["online", "online", state, "online"]);
      const verdict = judge([copy(0, newest), copy(1, newest), copy(2, document(5)), copy(3, newest)])!;
      expect(verdict.members[2]).toMatchObject({ state: "rebuilding", bay: 2 });
      // One that is on record as being rebuilt is known for what it has; one that comes back is not.
      expect(unsurePositions(verdict)).toEqual(state === "rebuilding" ? [] : [2]);
    }
  });

  test("a spare whose own first record was cut off is rebuilt, not taken for another pool's", () => {
    for (const state of ["rebuilding", "missing"] as const) {
      const newest = document(10, ["online", "online", state, "online"]);
      const verdict = judge([copy(0, newest), copy(1, newest), copy(2, undefined), copy(3, newest)])!;
      expect(verdict.members[2]).toMatchObject({ state: "rebuilding", bay: 2 });
    }
  });

  test("where a drive can't be used that another was built into, that other has its place again, if it is there", () => {
    const former = { name: "02", driveId: "id-2", hasMap: true };
    const of = (state: MemberDocument["state"]): PoolDocument => ({
      ...now,
      members: now.members.map((member, n) => (n === 2 ? { ...member, name: "08", driveId: "id-8", state, former } : member)),
    });
    const others = (it: PoolDocument): DocumentCopy[] => [copy(0, it), copy(1, it), copy(3, it)];
    const cases: [DocumentCopy[], string, string][] = [
      [[copy(2, document(7)), copy(4, of("rebuilding"), "id-8")], "rebuilding", "id-8"],
      [[copy(2, document(7))], "rebuilding", "id-2"],
      [[copy(2, document(7)), copy(4, document(3, undefined, "other"), "id-9")], "rebuilding", "id-2"],
      [[copy(4, document(3, undefined, "other"), "id-9")], "foreign", "id-8"],
      [[], "missing", "id-8"],
    ];
    for (const [copies, state, driveId] of cases) {
      const it = of("rebuilding");
      expect(judge([...others(it), ...copies])!.members[2]).toMatchObject({ state, driveId });
    }
    const failed = of("failed");
    const verdict = judge([...others(failed), copy(2, document(7)), copy(4, failed, "id-8")])!;
    expect(verdict.members[2]).toMatchObject({ state: "rebuilding", driveId: "id-2", bay: 2, hasMap: true });
  });

  test("a spare that took a place is a member, wherever the place's first drive is", () => {
    const newest = {
      ...now,
      members: now.members.map((member, n) => (n === 1 ? { ...member, name: "08", driveId: "id-8" } : member)),
    };
    const verdict = judge([copy(0, newest), copy(1, document(9)), copy(2, newest), copy(3, newest), copy(4, newest, "id-8")])!;
    expect(verdict.members.map(({ state, bay }) => [state, bay])).toEqual([
      ["online", 0],
      ["online", 4],
      ["online", 2],
      ["online", 3],
    ]);
  });

  test("drives of another pool don't outvote the pool's own, however new they are", () => {
    const stray = document(99, undefined, "other");
    const verdict = judge([copy(0, now), copy(1, now), copy(2, now), copy(3, stray, "id-7")])!;
    expect(verdict.document.poolId).toBe("pool");
    expect(verdict.members[3]!.state).toBe("foreign");
  });

  test("of two documents of one version the later start's is taken: the other drive was away from it", () => {
    const earlier = { ...document(10), epoch: 12 };
    const later = { ...document(10, ["online", "missing", "online", "online"]), epoch: 13 };
    for (const order of [
      [0, 1, 2, 3],
      [1, 0, 2, 3],
    ]) {
      const verdict = judge(order.map((n) => copy(n, n === 1 ? earlier : later)))!;
      expect(verdict.document).toBe(later);
      expect(verdict.members[1]!.state).toBe("rebuilding");
    }
  });

  test("what the bay says of a drive that can't be opened stands, with its reason", () => {
    const unavailable = new Map([[3, { state: "missing" as const, reason: "the drive is blank" }]]);
    const verdict = judge([copy(0, now), copy(1, now), copy(2, now)], unavailable)!;
    expect(verdict.members[3]).toEqual({ state: "missing", driveId: "id-3", reason: "the drive is blank" });
  });

  test("without any document the pool was never made", () => {
    expect(judge([copy(0, undefined), copy(1, undefined)])).toBeUndefined();
    expect(judge([])).toBeUndefined();
  });
});
