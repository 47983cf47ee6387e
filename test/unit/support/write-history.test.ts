import { beforeEach, describe, expect, test } from "vitest";
import { stampSectors } from "../../support/crash/sector-stamp.ts";
import { type Operation, type OperationKind, WriteHistory } from "../../support/crash/write-history.ts";

const LUN = 0;
const SEED = 77;
const SECTORS = 64;

let history: WriteHistory;
let content: Buffer;
let sequence: number;
beforeEach(() => {
  history = new WriteHistory({ lun: LUN, seed: SEED, sectors: SECTORS });
  content = Buffer.alloc(SECTORS * 512);
  sequence = 0;
});

function begin(firstSector: number, sectors: number, kind: OperationKind = "write"): Operation {
  sequence += 1;
  return history.begin(kind, sequence, firstSector, sectors);
}

/** What the LUN holds after an operation reached some of its sectors. */
function reach(operation: Operation, firstSector = operation.firstSector, sectors = operation.sectors): void {
  const { kind, sequence: by } = operation;
  const data =
    kind === "zero"
      ? Buffer.alloc(sectors * 512)
      : stampSectors({ lun: LUN, seed: SEED, sequence: by }, firstSector, sectors, kind === "same");
  data.copy(content, firstSector * 512);
}

function kinds(askedAt = history.now()): string[] {
  return history.check(content, 0, askedAt).map(({ kind, sector }) => `${kind} ${sector}`);
}

describe("write history: what a read may find", () => {
  test("takes what was acknowledged, and zeros where nothing was written", () => {
    for (const kind of ["write", "same", "zero"] as const) {
      const operation = begin(3, 20, kind);
      reach(operation);
      history.acknowledged(operation);
      expect(kinds(), kind).toEqual([]);
    }
  });

  test("finds an acknowledged write that is not there, and one that is there in part", () => {
    const operation = begin(8, 16);
    history.acknowledged(operation);
    expect(kinds()).toEqual(["lost 8", "lost 16"]);
    reach(operation, 8, 8);
    expect(kinds()).toEqual(["lost 16"]);
  });

  test("finds an older write in the place of a later one", () => {
    const older = begin(0, 8);
    reach(older);
    history.acknowledged(older);
    history.acknowledged(begin(0, 8));
    expect(kinds()).toEqual(["lost 0"]);
  });

  test.each([0, 1])("takes either of two that were under way together (%i), but not one after the other was seen", (first) => {
    const both = [begin(0, 8), begin(0, 8)];
    for (const operation of both) history.acknowledged(operation);
    reach(both[first]!);
    expect(kinds()).toEqual([]);
    reach(both[1 - first]!);
    expect(kinds()).toEqual(["disappeared 0"]);
  });

  test("takes a write that was never answered, there or not there", () => {
    const unanswered = begin(16, 8);
    expect(kinds()).toEqual([]);
    reach(unanswered);
    expect(kinds()).toEqual([]);
  });

  test("finds a block that no order of whole writes leaves", () => {
    const older = begin(0, 16);
    reach(older);
    history.acknowledged(older);
    const newer = begin(0, 16);
    reach(newer, 0, 8);
    expect(kinds()).toEqual([]);
    reach(newer, 8, 3);
    expect(kinds()).toEqual(["mix 8"]);
  });

  test("takes a block that several partial writes made", () => {
    const whole = begin(0, 8);
    reach(whole);
    history.acknowledged(whole);
    const part = begin(2, 3);
    reach(part);
    history.acknowledged(part);
    reach(begin(4, 8));
    expect(kinds()).toEqual([]);
  });

  test("finds gone what a reader saw, though it was never answered", () => {
    const older = begin(0, 8);
    reach(older);
    history.acknowledged(older);
    const newer = begin(0, 8);
    const before = Buffer.from(content);
    reach(newer);
    expect(kinds()).toEqual([]);
    content = before;
    expect(kinds()).toEqual(["lost 0"]);
  });

  test("takes what was there before from a read that was under way beside the one that saw something newer", () => {
    const older = begin(0, 8);
    reach(older);
    history.acknowledged(older);
    const slowRead = history.now();
    const before = Buffer.from(content);
    const newer = begin(0, 8);
    reach(newer);
    history.acknowledged(newer);
    expect(kinds()).toEqual([]);
    content = before;
    expect(kinds(slowRead)).toEqual([]);
    expect(kinds()).toEqual(["lost 0"]);
  });

  test("finds sectors that are torn, of another place, another unit, another run, or of no write at all", () => {
    const operation = begin(0, 8);
    reach(operation);
    history.acknowledged(operation);
    const good = Buffer.from(content);
    const put = (data: Buffer, sector = 5): string[] => {
      content = Buffer.from(good);
      data.copy(content, sector * 512);
      return kinds();
    };
    expect(put(Buffer.alloc(256, 1))).toEqual(["torn 5"]);
    expect(put(stampSectors({ lun: LUN, seed: SEED, sequence: 1 }, 6, 1))).toEqual(["foreign 5"]);
    expect(put(stampSectors({ lun: 1, seed: SEED, sequence: 1 }, 5, 1))).toEqual(["foreign 5"]);
    expect(put(stampSectors({ lun: LUN, seed: 78, sequence: 1 }, 5, 1))).toEqual(["foreign 5"]);
    expect(put(stampSectors({ lun: LUN, seed: SEED, sequence: 99 }, 5, 1))).toEqual(["lost 5"]);
    expect(put(good.subarray(0, 0))).toEqual([]);
  });

  test("goes on from what was found: later it must stay", () => {
    const unanswered = begin(0, 8);
    reach(unanswered);
    expect(kinds()).toEqual([]);
    const sequences = new Uint32Array(SECTORS).fill(0);
    sequences.fill(unanswered.sequence, 0, 8);
    history.settle(sequences);
    expect(kinds()).toEqual([]);
    content.fill(0);
    expect(kinds()).toEqual(["lost 0"]);
  });
});
