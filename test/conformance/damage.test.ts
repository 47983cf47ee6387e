/** What the array does when something of its data folder is gone or damaged: right data, or none and a reason. Never wrong data. */
import { cpSync, mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { flipBytesInZones } from "../support/damage.ts";
import { PipelinedSession } from "../support/pipelined-session.ts";
import { Random } from "../support/random.ts";
import { countWrongSectors, lookAtSectors, type StampedRange, writeStamped } from "../support/stamped-lun.ts";

const SECTORS = (24 * 2 ** 20) / 512;
const ON_A: StampedRange = { lun: 0, sectors: SECTORS, sequence: 1 };
const ON_B: StampedRange = { lun: 1, sectors: SECTORS, sequence: 1 };
const PORTALS = [0, 1];
const SEED = Number(process.env.VARRAY_TEST_SEED ?? Math.floor(Math.random() * 2 ** 31));

let array: RunningArray;
let aside: string;
beforeEach(async () => {
  aside = mkdtempSync(join(tmpdir(), "varray-aside-"));
  array = await startArray();
});
afterEach(async () => {
  await array.remove();
  rmSync(aside, { recursive: true, force: true });
});

function drive(name: string): string {
  return join(array.dataFolder, "drives", name);
}

async function expectRight(range: StampedRange): Promise<void> {
  for (const portal of PORTALS) expect(await countWrongSectors(array, range, portal), `portal ${portal}, seed ${SEED}`).toBe(0);
}

async function expectNotReady(lun: number): Promise<void> {
  const session = await PipelinedSession.open({ port: array.portalPorts[0]!, targetName: array.targetName });
  await expect(session.testUnitReady(lun)).rejects.toThrow("is not ready");
  session.close();
}

describe("a journal that is missing", () => {
  test("keeps its pool closed, with the names of its volumes, while the other serves; put back, all is there", async () => {
    await writeStamped(array, ON_A);
    await writeStamped(array, ON_B);
    await array.kill9();
    renameSync(join(array.dataFolder, "journals", "A"), join(aside, "A"));
    await array.restart();
    const { state, reason } = await array.pool("A");
    expect(state).toBe("failed");
    expect(reason).toContain("volume-0");
    expect(reason).toContain("journal");
    await expectNotReady(0);
    await expectRight(ON_B);
    await array.kill9();
    renameSync(join(aside, "A"), join(array.dataFolder, "journals", "A"));
    await array.restart();
    await expectRight(ON_A);
    await expectRight(ON_B);
  });

  test("that is of an older time keeps its pool closed too", async () => {
    await writeStamped(array, ON_A);
    await array.stop();
    cpSync(join(array.dataFolder, "journals", "A"), join(aside, "A"));
    await array.restart();
    await writeStamped(array, { ...ON_A, sequence: 2 });
    await array.destage("A");
    await writeStamped(array, { ...ON_A, sequence: 3 });
    await array.stop();
    renameSync(join(aside, "A"), join(array.dataFolder, "journals", "A"));
    await array.restart();
    const { state, reason } = await array.pool("A");
    expect(state).toBe("failed");
    expect(reason).toContain("volume-0");
  });
});

describe("two drives of a pool that are gone", () => {
  test("leave it read-only, with the rest to be read, while the other serves; one put back, all is there", async () => {
    await writeStamped(array, ON_A);
    await writeStamped(array, ON_B);
    await array.destage("A");
    await array.kill9();
    for (const name of ["00", "02"]) renameSync(drive(name), join(aside, name));
    await array.restart();
    const { state, reason } = await array.pool("A");
    expect(state).toBe("readonly");
    for (const word of ["00", "02"]) expect(reason).toContain(word);
    const { wrong, unreadable } = await lookAtSectors(array, ON_A);
    expect(wrong).toBe(0);
    expect(unreadable).toBeGreaterThan(0);
    expect(unreadable).toBeLessThan(SECTORS);
    await expect(writeStamped(array, ON_A)).rejects.toThrow("07/27/00");
    await expectRight(ON_B);
    await array.kill9();
    renameSync(join(aside, "02"), drive("02"));
    await array.restart();
    expect((await array.pool("A")).state).toBe("degraded");
    await expectRight(ON_A);
  });

  test("keep it closed, with the names of its volumes, if they are those that have its map, while the other serves", async () => {
    await writeStamped(array, ON_A);
    await writeStamped(array, ON_B);
    await array.destage("A");
    await array.kill9();
    for (const name of ["00", "01"]) renameSync(drive(name), join(aside, name));
    await array.restart();
    const { state, reason } = await array.pool("A");
    expect(state).toBe("failed");
    for (const word of ["volume-0", "00", "01", "map"]) expect(reason).toContain(word);
    await expectNotReady(0);
    await expectRight(ON_B);
    await array.kill9();
    renameSync(join(aside, "01"), drive("01"));
    await array.restart();
    expect((await array.pool("A")).state).toBe("degraded");
    await expectRight(ON_A);
  });
});

describe("bytes that change on a drive", () => {
  test("are never handed out: reads are right, and what was wrong is rebuilt and counted", async () => {
    await writeStamped(array, ON_A);
    await array.destage("A");
    await array.stop();
    flipBytesInZones(drive("02"), new Random(SEED), 400);
    await array.restart();
    await expectRight(ON_A);
    const repaired = await array.poolMetric("varray_repaired_blocks_total", "A");
    const rebuilt = await array.poolMetric("varray_degraded_reads_total", "A");
    process.stdout.write(`damage: seed ${SEED}, ${repaired} blocks repaired, ${rebuilt} strips rebuilt\n`);
    expect(repaired + rebuilt).toBeGreaterThan(0);
    expect(await array.poolMetric("varray_lost_blocks_total", "A")).toBe(0);
    // The repaired copies are good ones: right again from the drives alone.
    await array.destage("A");
    await array.stop();
    await array.restart();
    await expectRight(ON_A);
  });
});
