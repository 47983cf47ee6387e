/** The journal in two copies, on a whole array: each copy taken away in turn after kill -9, and a mirror that can't be had. */
import { cpSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { countWrongSectors, type StampedRange, writeStamped } from "../support/stamped-lun.ts";

const RANGE: StampedRange = { lun: 0, sectors: (8 * 2 ** 20) / 512, sequence: 1 };
/** What is written stays in the journal. */
const QUIET = { VARRAY_DESTAGE_AGE_SECONDS: "3600", VARRAY_JOURNAL_BYTES: "32MiB" };

let array: RunningArray;
let folder: string;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "varray-mirror-"));
  array = await startArray({ env: { ...QUIET, VARRAY_JOURNAL_MIRROR_FOLDER: folder } });
});
afterEach(async () => {
  await array.remove();
  rmSync(folder, { recursive: true, force: true });
});

function copies(): string[] {
  return [join(array.dataFolder, "journals", "A"), join(folder, "A")];
}

async function events(type: string): Promise<string[]> {
  const { events: all } = (await (await array.api("/api/v1/events")).json()) as { events: { type: string; message: string }[] };
  return all.filter((event) => event.type === type).map(({ message }) => message);
}

async function expectRight(sequence: number): Promise<void> {
  expect(await countWrongSectors(array, { ...RANGE, sequence })).toBe(0);
}

describe("a journal in two copies, of a real array", () => {
  test("either copy alone is enough; the other is told of, and made whole by the same start", async () => {
    let sequence = 0;
    for (const gone of [0, 1, 0]) {
      sequence += 1;
      await writeStamped(array, { ...RANGE, sequence });
      await array.kill9();
      rmSync(copies()[gone]!);
      await array.restart();
      await expectRight(sequence);
      expect((await array.pool("A")).state).toBe("optimal");
      expect((await events("journal.copyLost")).join()).toContain(gone === 0 ? "the journal of pool A" : "the mirror");
      expect(await events("journal.copyRestored")).toHaveLength(1);
    }
  });

  test("an older copy is not taken: without the other the pool stays closed", async () => {
    await writeStamped(array, RANGE);
    await array.kill9();
    cpSync(copies()[1]!, `${copies()[1]}.old`);
    await array.restart();
    await writeStamped(array, { ...RANGE, sequence: 2 });
    await array.kill9();
    renameSync(`${copies()[1]}.old`, copies()[1]!);
    renameSync(copies()[0]!, `${copies()[0]}.aside`);
    await array.restart();
    const { state, reason } = await array.pool("A");
    expect(state).toBe("failed");
    expect(reason).toContain("older copy");
    expect(reason).toContain("volume-0");
    await array.kill9();
    renameSync(`${copies()[0]}.aside`, copies()[0]!);
    await array.restart();
    await expectRight(2);
    expect(await events("journal.copyRestored")).toHaveLength(1);
  });

  test("goes on without the mirror's folder, and with it again", async () => {
    await writeStamped(array, RANGE);
    await array.kill9();
    renameSync(folder, `${folder}.aside`);
    await array.restart();
    await writeStamped(array, { ...RANGE, sequence: 2 });
    expect(await events("journal.copyLost")).toHaveLength(2);
    await array.kill9();
    renameSync(`${folder}.aside`, folder);
    rmSync(copies()[0]!);
    await array.restart();
    // The mirror missed what was written without it, and the other copy is gone.
    expect((await array.pool("A")).state).toBe("failed");
  });
});
