import { describe, expect, test } from "vitest";
import { stampSectors } from "../../../support/crash/sector-stamp.ts";
import { DurableHistory, type DurableWrite } from "../../../support/powerloss/durable-history.ts";

const SECTORS = 16;
const SEED = 5;

function history(): DurableHistory {
  return new DurableHistory({ sectors: SECTORS, seed: SEED });
}

/** What the unit holds after these, in their order. */
function unit(...writes: readonly DurableWrite[]): Buffer {
  const data = Buffer.alloc(SECTORS * 512);
  for (const { firstSector, sectors, sequence, zeros } of writes) {
    const bytes = zeros ? Buffer.alloc(sectors * 512) : stampSectors({ lun: 0, seed: SEED, sequence }, firstSector, sectors);
    bytes.copy(data, firstSector * 512);
  }
  return data;
}

function kinds(subject: DurableHistory, marks: readonly string[], data: Buffer): string[] {
  const replay = subject.replay();
  for (const mark of marks) replay.mark(mark);
  return replay.check(data, 100).findings.map(({ kind }) => kind);
}

describe("what must be there after a power loss", () => {
  test("a promised write, or one that came after it; without the promise also what was before", () => {
    const subject = history();
    const first = subject.begin({ zeros: false, firstSector: 0, sectors: 1 });
    const promise = subject.promise([first]);
    const second = subject.begin({ zeros: false, firstSector: 0, sectors: 1 });
    expect(kinds(subject, [promise], unit(first))).toEqual([]);
    expect(kinds(subject, [promise], unit(first, second))).toEqual([]);
    expect(kinds(subject, [promise], unit())).toEqual(["lost"]);
    expect(kinds(subject, [], unit())).toEqual([]);
  });

  test("an older write in the place of a promised one is lost", () => {
    const subject = history();
    const first = subject.begin({ zeros: false, firstSector: 3, sectors: 1 });
    const second = subject.begin({ zeros: false, firstSector: 3, sectors: 1 });
    expect(kinds(subject, [subject.promise([second])], unit(first))).toEqual(["lost"]);
  });

  test("zeros count once they were sent", () => {
    const subject = history();
    const write = subject.begin({ zeros: false, firstSector: 0, sectors: 1 });
    const promise = subject.promise([write]);
    const zeros = subject.begin({ zeros: true, firstSector: 0, sectors: 1 });
    expect(kinds(subject, [promise], unit())).toEqual(["lost"]);
    expect(kinds(subject, [promise, DurableHistory.sending(zeros)], unit())).toEqual([]);
  });

  test("what was never written there, torn sectors, and blocks of two moments are found", () => {
    const subject = history();
    const write = subject.begin({ zeros: false, firstSector: 0, sectors: 8 });
    const over = subject.begin({ zeros: false, firstSector: 0, sectors: 8 });
    expect(kinds(subject, [], unit({ ...write, firstSector: 9, sectors: 1 }))).toContain("stale");
    const torn = unit(write);
    torn[600] = 0xff;
    expect(kinds(subject, [], torn)).toContain("torn");
    expect(kinds(subject, [], unit(write, { ...over, sectors: 2 }))).toContain("mix");
    const displaced = Buffer.alloc(SECTORS * 512);
    unit(write).copy(displaced, 512, 0, 512);
    expect(kinds(subject, [], displaced)).toEqual(["foreign"]);
  });

  test("a write that was refused is none", () => {
    const subject = history();
    const write = subject.begin({ zeros: false, firstSector: 0, sectors: 8 });
    subject.refused(subject.begin({ zeros: false, firstSector: 0, sectors: 1 }));
    const last = subject.begin({ zeros: false, firstSector: 1, sectors: 1 });
    expect(kinds(subject, [], unit(write, last))).toEqual([]);
  });

  test("after a power loss what was found is what must be there", () => {
    const subject = history();
    const first = subject.begin({ zeros: false, firstSector: 0, sectors: 1 });
    const second = subject.begin({ zeros: false, firstSector: 0, sectors: 1 });
    subject.settle(subject.replay().check(unit(first), 10).found);
    expect(kinds(subject, [], unit(first))).toEqual([]);
    expect(kinds(subject, [], unit())).toEqual(["lost"]);
    expect(kinds(subject, [], unit(second))).toContain("stale");
  });
});
