import { describe, expect, test } from "vitest";
import { type DocumentCopy, judgeCopies, type MemberDocument, type PoolDocument } from "../../../src/volume/pool-document.ts";

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
      ["online", "foreign", "online", "online"],
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
      "two drives changed places",
      [copy(0, now), copy(1, now, "id-2"), copy(2, now, "id-1"), copy(3, now)],
      ["online", "foreign", "foreign", "online"],
      /another drive/,
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
    const verdict = judgeCopies(copies, NONE)!;
    expect(verdict.document.version).toBe(10);
    expect(verdict.members.map((member) => member.state)).toEqual(expected);
    for (const member of verdict.members) {
      if (member.state === "online") expect(member.reason).toBeUndefined();
      else expect(member.reason).toMatch(reason!);
    }
  });

  test("a drive on record as out stays out, though its own copy is the newest there is of it", () => {
    for (const state of ["missing", "failed", "foreign"] as const) {
      const newest = document(10, ["online", "online", state, "online"]);
      for (const own of [newest, document(9)]) {
        const verdict = judgeCopies([copy(0, newest), copy(1, newest), copy(2, own), copy(3, newest)], NONE)!;
        expect(verdict.members[2]).toEqual({ state, reason: `was ${state}` });
      }
    }
  });

  test("what the bay says of a drive that can't be opened stands, with its reason", () => {
    const unavailable = new Map([[3, { state: "missing" as const, reason: "the drive is blank" }]]);
    const verdict = judgeCopies([copy(0, now), copy(1, now), copy(2, now)], unavailable)!;
    expect(verdict.members[3]).toEqual({ state: "missing", reason: "the drive is blank" });
  });

  test("without any document the pool was never made", () => {
    expect(judgeCopies([copy(0, undefined), copy(1, undefined)], NONE)).toBeUndefined();
    expect(judgeCopies([], NONE)).toBeUndefined();
  });
});
