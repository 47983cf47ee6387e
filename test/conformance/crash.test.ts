/** kill -9 at a random moment under load; what was acknowledged is there afterwards. docs/testing.md tells how to run more. */
import { afterEach, describe, expect, test } from "vitest";
import { CrashRig, printRound, type RoundReport } from "../support/crash/crash-rig.ts";

const ROUNDS = Number(process.env.VARRAY_CRASH_ROUNDS ?? 20);
const SEED = Number(process.env.VARRAY_CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));
const KEEP = process.env.VARRAY_CRASH_KEEP === "1";
const ROUND_MILLISECONDS_MAX = 60_000;

let rig: CrashRig | undefined;
afterEach(async ({ task }) => {
  await rig?.remove(KEEP && task.result?.state === "fail");
  rig = undefined;
});

describe("crash test", () => {
  test(`keeps everything that was acknowledged, through ${ROUNDS} kills at random moments under load`, {
    timeout: ROUND_MILLISECONDS_MAX * (ROUNDS + 1),
  }, async () => {
    process.stdout.write(`crash test: seed ${SEED} (VARRAY_CRASH_SEED), ${ROUNDS} rounds (VARRAY_CRASH_ROUNDS)\n`);
    rig = await CrashRig.start({ seed: SEED });
    await rig.fill();
    const reports: RoundReport[] = [];
    for (let n = 0; n < ROUNDS; n++) {
      const report = await rig.round();
      process.stdout.write(`${printRound(report)}\n`);
      reports.push(report);
      expect(report.violations.slice(0, 10), `seed ${SEED}, round ${report.round}`).toEqual([]);
    }
    const inDestage = reports.filter((report) => report.diedInDestage).length;
    const inCompaction = reports.filter((report) => report.diedInCompaction).length;
    process.stdout.write(`crash test: ${inDestage} of ${ROUNDS} rounds died in destage, ${inCompaction} in compaction\n`);
    expect(inDestage, "rounds that died with destage in flight").toBeGreaterThanOrEqual(ROUNDS / 2);
  });
});
