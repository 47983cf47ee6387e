import { describe, expect, test } from "vitest";
import { MemoryJournalFile, MemoryJournalState } from "../../../drivers/journal-file/memory-journal-file.ts";

function content(state: MemoryJournalState): string {
  const target = Buffer.alloc(4);
  new MemoryJournalFile(state).read(0, target);
  return target.toString("latin1");
}

describe("MemoryJournalState", () => {
  test("keeps what a sync covered over a power loss, and loses the rest", () => {
    const state = new MemoryJournalState(16);
    const file = new MemoryJournalFile(state, { manualSync: true });
    file.write(0, [Buffer.from("ab")]);
    file.endSyncs();
    file.write(2, [Buffer.from("cd")]);
    expect(content(state)).toBe("abcd");
    state.powerLoss();
    expect(content(state)).toBe("ab\0\0");
  });

  test("keeps of the unsynced writes those that happened to be written back", () => {
    const state = new MemoryJournalState(16);
    const file = new MemoryJournalFile(state);
    file.write(0, [Buffer.from("a")]);
    file.write(1, [Buffer.from("b")]);
    state.powerLoss((write) => write === 1);
    expect(content(state)).toBe("\0b\0\0");
  });

  test.each(["write", "sync"] as const)("is dead for good after a %s that failed", (what) => {
    const file = new MemoryJournalFile(new MemoryJournalState(16), { manualSync: true });
    const errors: unknown[] = [];
    file.sync((error) => errors.push(error?.kind));
    file.failNext = what;
    if (what === "write") expect(() => file.write(0, [Buffer.from("a")])).toThrow(/failed/);
    else file.endSyncs();
    expect(errors).toEqual(["io"]);
    expect(() => file.write(0, [Buffer.from("a")])).toThrow(/failed/);
    expect(() => file.sync(() => undefined)).toThrow(/failed/);
  });
});
