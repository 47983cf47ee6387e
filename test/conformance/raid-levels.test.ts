/** A pool of every RAID level in one started array: served to a host, and right without as many drives as the level can lose. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { countWrongSectors, type StampedRange, writeStamped } from "../support/stamped-lun.ts";

const SECTORS = (6 * 2 ** 20) / 512;
const PORTALS = [0, 1];

/** Pools by name, their LUNs in this order; no spares, so that a lost drive stays lost. */
const POOLS = [
  { name: "A", settings: "raidLevel: 1, drives: [a0, a1]", label: "RAID-1 2-way", lose: ["a0"] },
  { name: "B", settings: "raidLevel: 1, drives: [b0, b1, b2]", label: "RAID-1 3-way", lose: ["b0", "b2"] },
  { name: "C", settings: "raidLevel: 6, drives: [c0, c1, c2, c3]", label: "RAID-6 2+2", lose: ["c1", "c2"] },
  { name: "D", settings: "raidLevel: 10, drives: [d0, d1, d2, d3]", label: "RAID-10 2×2", lose: ["d1", "d2"] },
  { name: "E", settings: "raidLevel: 5, drives: [e0, e1, e2]", label: "RAID-5 2+1", lose: ["e1"] },
] as const;

/** One story, told in order: each test goes on where the one before it ended. */
describe.sequential("an array with a pool of each RAID level", () => {
  let folder: string;
  let array: RunningArray;

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "varray-levels-"));
    const file = join(folder, "varray.yaml");
    const pools = POOLS.map(({ name, settings }) => `  ${name}: {${settings}, spares: []}\n`);
    writeFileSync(file, `pools:\n${pools.join("")}`);
    array = await startArray({ env: { VARRAY_CONFIG: file } });
  });

  afterAll(async () => {
    await array?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  async function writeAll(sequence: number): Promise<void> {
    for (const [lun] of POOLS.entries()) await writeStamped(array, { lun, sectors: SECTORS, sequence }, lun % PORTALS.length);
  }

  async function expectAll(sequence: number): Promise<void> {
    for (const [lun, { label }] of POOLS.entries()) {
      const range: StampedRange = { lun, sectors: SECTORS, sequence };
      for (const portal of PORTALS) expect(await countWrongSectors(array, range, portal), `${label}, portal ${portal}`).toBe(0);
    }
  }

  async function destageAll(): Promise<void> {
    for (const { name } of POOLS) await array.destage(name);
  }

  test("starts, says what each pool is, and serves all of them", async () => {
    for (const { name, label } of POOLS) {
      expect(await array.pool(name)).toMatchObject({ raid: label, state: "optimal" });
      expect(array.log).toContain(label);
    }
    await writeAll(1);
    await destageAll();
    await array.kill9();
    await array.restart();
    await expectAll(1);
  });

  test("without the drives that each level can lose everything is there, and can be written", async () => {
    await array.stop();
    for (const drive of POOLS.flatMap(({ lose }) => lose)) rmSync(join(array.dataFolder, "drives", drive), { recursive: true });
    await array.restart();
    for (const { name, lose } of POOLS) {
      const { state, drives } = await array.pool(name);
      expect({ name, state }).toEqual({ name, state: "degraded" });
      expect(drives.filter((drive) => drive.state !== "online").map((drive) => drive.name)).toEqual(lose);
    }
    await expectAll(1);
    await writeAll(2);
    await array.kill9();
    await array.restart();
    await expectAll(2);
    await destageAll();
    await array.stop();
    await array.restart();
    await expectAll(2);
  });

  test("a pool that is configured as another level than it was made as stays closed, and says so", async () => {
    await array.stop();
    const file = join(folder, "other.yaml");
    const other = POOLS.map(({ name, settings }) => {
      const changed = name === "C" ? settings.replace("raidLevel: 6", "raidLevel: 10") : settings;
      return `  ${name}: {${changed}, spares: []}\n`;
    });
    writeFileSync(file, `pools:\n${other.join("")}`);
    await array.restart({ VARRAY_CONFIG: file });
    const { state, reason } = await array.pool("C");
    expect(state).toBe("failed");
    expect(reason).toMatch(/made as RAID-6 2\+2, the configuration says RAID-10 2×2/);
    await array.stop();
    await array.restart();
    await expectAll(2);
  });
});
