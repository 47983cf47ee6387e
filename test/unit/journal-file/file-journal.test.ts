import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
import { createJournalFile } from "../../../drivers/journal-file/create-journal-file.ts";
import { openJournalFile } from "../../../drivers/journal-file/file-journal.ts";
import { JOURNAL_COUNTERS } from "../../../drivers/journal-file/journal-counters.ts";
import type { JournalFileError } from "../../../drivers/journal-file/journal-file.ts";
import { counterBlock } from "../../../drivers/shared-memory/counters.ts";
import { temporaryFolder, testGlobalMemory } from "../../support/drive-fixtures.ts";
import { journalWithThread } from "../../support/journal-fixtures.ts";

const C = JOURNAL_COUNTERS.slots;
const cleanups: (() => unknown)[] = [];
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

function folder(): string {
  const temporary = temporaryFolder();
  cleanups.push(temporary.remove);
  return temporary.path;
}

const access = () => ({ global: testGlobalMemory().global, pool: 0, director: 0 });

describe("createJournalFile", () => {
  test("writes every byte, so that the blocks are allocated", () => {
    const path = join(folder(), "journal");
    createJournalFile(path, 3 * 1024 * 1024 + 5);
    const stat = statSync(path);
    expect(stat.size).toBe(3 * 1024 * 1024 + 5);
    expect(stat.blocks * 512).toBeGreaterThanOrEqual(stat.size);
    expect(readFileSync(path).every((byte) => byte === 0)).toBe(true);
  });

  test("leaves a file that is there alone", () => {
    const path = join(folder(), "journal");
    writeFileSync(path, "precious");
    expect(() => createJournalFile(path, 4096)).toThrow(expect.objectContaining({ name: "JournalFileError", kind: "foreign" }));
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  test("makes the file anew where an earlier attempt was interrupted", () => {
    const path = join(folder(), "journal");
    writeFileSync(`${path}.new`, "half a file");
    createJournalFile(path, 4096);
    expect(statSync(path).size).toBe(4096);
    expect(existsSync(`${path}.new`)).toBe(false);
  });

  test("says that the folder is missing, and leaves nothing", () => {
    const parent = folder();
    expect(() => createJournalFile(join(parent, "no", "journal"), 4096)).toThrow(expect.objectContaining({ kind: "missing" }));
    expect(readdirSync(parent)).toEqual([]);
  });
});

describe("openJournalFile", () => {
  test("tells a missing file from one that is not a journal", () => {
    const parent = folder();
    const missing = expect.objectContaining({ name: "JournalFileError", kind: "missing" });
    expect(() => openJournalFile(join(parent, "none"), access())).toThrow(missing);
    writeFileSync(join(parent, "empty"), "");
    expect(() => openJournalFile(join(parent, "empty"), access())).toThrow(expect.objectContaining({ kind: "foreign" }));
    mkdirSync(join(parent, "folder"));
    expect(() => openJournalFile(join(parent, "folder"), access())).toThrow(
      expect.objectContaining({ name: "JournalFileError" }),
    );
  });
});

describe("FileJournal", () => {
  test("counts appends, bytes and syncs", async () => {
    const fixture = await journalWithThread(8192);
    cleanups.push(fixture.dispose);
    const journal = await fixture.open();
    const block = counterBlock(fixture.global, "journal", 0);
    journal.write(0, [Buffer.alloc(100), Buffer.alloc(20)]);
    await new Promise((resolve) => journal.sync(resolve));
    expect(block[C.appends]).toBe(1);
    expect(block[C.appendBytes]).toBe(120);
    expect(block[C.syncs]).toBe(1);
    expect(block[C.syncErrors]).toBe(0);
    expect(block[C.capacityBytes]).toBe(8192);
    await journal.close();
  });

  test("is dead for good after an fdatasync that failed", async () => {
    // fdatasync of a character device is EINVAL: a real error of the real call.
    const fixture = await journalWithThread(8192, { syncPath: "/dev/null" });
    cleanups.push(fixture.dispose);
    const journal = await fixture.open();
    journal.write(0, [Buffer.from("x")]);
    const error = await new Promise<JournalFileError | undefined>((resolve) => journal.sync(resolve));
    expect(error).toMatchObject({ name: "JournalFileError", kind: "io" });
    expect(() => journal.write(0, [Buffer.from("x")])).toThrow(/fdatasync failed/);
    expect(() => journal.sync(() => undefined)).toThrow(/fdatasync failed/);
    expect(() => journal.read(0, Buffer.alloc(1))).toThrow(/fdatasync failed/);
    await journal.close();
    const next = await fixture.open();
    expect(() => next.sync(() => undefined)).toThrow(/fdatasync failed/);
    await next.close();
    await expect.poll(() => fixture.messages.some(({ type }) => type === "failed")).toBe(true);
  });

  test("tells everybody who waits when the sync thread is gone", async () => {
    const fixture = await journalWithThread(8192);
    cleanups.push(fixture.dispose);
    await fixture.worker.terminate();
    const journal = await fixture.open();
    const errors: (JournalFileError | undefined)[] = [];
    journal.sync((error) => errors.push(error));
    journal.sync((error) => errors.push(error));
    journal.fail("its sync thread is gone");
    expect(errors.map((error) => error?.kind)).toEqual(["io", "io"]);
    expect(() => journal.write(0, [Buffer.from("x")])).toThrow(/sync thread is gone/);
    await journal.close();
  });
});

describe("FileJournal in two copies, with their sync thread", () => {
  test("the copy that can't be synced hears of it, and the other goes on", async () => {
    const fixture = await journalWithThread(8192, { mirrorPath: "/nowhere/mirror" });
    cleanups.push(fixture.dispose);
    const journal = await fixture.open();
    journal.write(0, [Buffer.alloc(100)]);
    expect(await new Promise((resolve) => journal.sync(resolve))).toBeUndefined();
    const mirror = openJournalFile(fixture.path, { global: fixture.global, pool: 0, director: 0, copy: 1 });
    expect(() => mirror.sync(() => undefined)).toThrow(expect.objectContaining({ kind: "io" }));
    await journal.close();
  });

  test("both are synced for one ticket", async () => {
    const other = join(folder(), "mirror");
    createJournalFile(other, 8192);
    const fixture = await journalWithThread(8192, { mirrorPath: other });
    cleanups.push(fixture.dispose);
    const journal = await fixture.open();
    for (let n = 0; n < 3; n++) expect(await new Promise((resolve) => journal.sync(resolve))).toBeUndefined();
    expect(fixture.messages.map(({ type }) => type)).toEqual(["ready"]);
    await journal.close();
  });
});
