/** kill -9 at a random moment under load; what was acknowledged is there afterwards. docs/testing.md tells how to run more. */
import { afterEach, describe, expect, test } from "vitest";
import { printRound, type RoundReport } from "../support/crash/crash-report.ts";
import { CrashRig } from "../support/crash/crash-rig.ts";

const ROUNDS = Number(process.env.VARRAY_CRASH_ROUNDS ?? 5);
/** After those, with a drive of each pool lost. */
const DEGRADED_ROUNDS = Math.ceil(ROUNDS / 7);
const SEED = Number(process.env.VARRAY_CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Leaves the data folder of a run that failed. */
const KEEP = process.env.VARRAY_CRASH_KEEP === "1";
const ROUND_MILLISECONDS_MAX = 60_000;
const VIOLATIONS_SHOWN = 10;

let rig: CrashRig | undefined;
afterEach(async ({ task }) => {
  await rig?.remove(KEEP && task.result?.state === "fail");
  rig = undefined;
});

async function rounds(count: number): Promise<RoundReport[]> {
  const reports: RoundReport[] = [];
  for (let n = 0; n < count; n++) {
    const report = await rig!.round();
    process.stdout.write(`${printRound(report)}\n`);
    expect(report.violations.slice(0, VIOLATIONS_SHOWN), `seed ${SEED}, round ${report.round}`).toEqual([]);
    reports.push(report);
  }
  return reports;
}

describe("crash test", () => {
  const timeout = ROUND_MILLISECONDS_MAX * (ROUNDS + DEGRADED_ROUNDS + 2);
  test(`keeps what was acknowledged through ${ROUNDS} kills under load, then without a drive`, { timeout }, async () => {
    process.stdout.write(`crash test: seed ${SEED} (VARRAY_CRASH_SEED), ${ROUNDS} rounds (VARRAY_CRASH_ROUNDS)\n`);
    rig = await CrashRig.start({ seed: SEED });
    await rig.fill();
    const reports = await rounds(ROUNDS);
    const inDestage = reports.filter((report) => report.diedInDestage).length;
    const inCompaction = reports.filter((report) => report.diedInCompaction).length;
    process.stdout.write(`crash test: ${inDestage} of ${ROUNDS} rounds died in destage, ${inCompaction} in compaction\n`);
    expect(inDestage, "rounds that died with destage in flight").toBeGreaterThanOrEqual(ROUNDS / 2);

    const withoutDrives = await rig.loseDrives();
    expect(withoutDrives.slice(0, VIOLATIONS_SHOWN), `seed ${SEED}, without a drive of each pool`).toEqual([]);
    process.stdout.write("crash test: all is there without a drive of each pool; degraded rounds follow\n");
    await rounds(DEGRADED_ROUNDS);
  });
});
