/** The crash test can fail: it is run on arrays that break what it looks for. */
import { afterEach, describe, expect, test } from "vitest";
import { printRound, type RoundReport } from "../support/crash/crash-report.ts";
import { type CrashOptions, CrashRig } from "../support/crash/crash-rig.ts";
import { type Mutant, makeMutant, type Patch } from "../support/mutant.ts";

const ROUNDS_MAX = 6;
const SEED = Number(process.env.VARRAY_CRASH_SEED ?? Math.floor(Math.random() * 2 ** 31));

const JOURNAL_WRITE_LEFT_OUT: Patch = {
  file: "src/journal/journal.js",
  find: /this\.#writeFile\(this\.#positionOf\(this\.#head\), (this\.#)?buffers\);/,
  replace: "",
};
/** Right when a batch was chosen: its blocks are neither on the drives nor in the map. */
const TRIMMED_BEFORE_THE_MAP: Patch = {
  file: "src/volume/destager.js",
  find: /await journal\.synced\(newest\);/,
  replace: "await journal.synced(newest); journal.trim(journal.nextSequence);",
};

let rig: CrashRig | undefined;
let mutant: Mutant | undefined;
afterEach(async () => {
  await rig?.remove();
  mutant?.remove();
  rig = undefined;
  mutant = undefined;
});

/**
 * Little is destaged before the kill, so that the journal's superblock mostly stays as it was made. Else recovery notices
 * by itself that records are missing which it had made durable, and refuses to open the pool instead of losing blocks.
 */
const NO_DESTAGE = {
  env: {
    VARRAY_MEMORY_FRAMES: "256MiB",
    VARRAY_JOURNAL_BYTES: "512MiB",
    VARRAY_DESTAGE_AGE_SECONDS: "3600",
    VARRAY_DESTAGE_DIRTY_PERCENT_MAX: "90",
  },
  loadMilliseconds: { least: 200, most: 500 },
};

/** Rounds until something is found; an array that refuses to go on is replaced by a new one. */
async function roundsOn(patch: Patch, options: Omit<CrashOptions, "seed" | "dist"> = {}): Promise<RoundReport> {
  mutant = makeMutant([patch]);
  process.stdout.write(`crash test of a mutant: seed ${SEED}\n`);
  for (let round = 1; ; round++) {
    rig ??= await CrashRig.start({ seed: SEED + round, dist: mutant.dist, ...options });
    const report = await rig.round();
    process.stdout.write(`${printRound(report)}\n`);
    const refused = report.violations.some(({ kind }) => kind === "unreachable");
    if ((report.violations.length > 0 && !refused) || round === ROUNDS_MAX) return report;
    if (refused) {
      await rig.remove();
      rig = undefined;
    }
  }
}

describe("crash test, of arrays that are broken", { timeout: 300_000 }, () => {
  test("finds lost blocks when the journal write is left out", async () => {
    const { violations, violationsInLoad } = await roundsOn(JOURNAL_WRITE_LEFT_OUT, NO_DESTAGE);
    expect(violationsInLoad).toBe(0);
    expect(violations.map(({ kind }) => kind)).toContain("lost");
  });

  test("finds lost blocks when the journal is trimmed before the map is written", async () => {
    const { violations, violationsInLoad } = await roundsOn(TRIMMED_BEFORE_THE_MAP);
    expect(violationsInLoad).toBe(0);
    expect(violations.map(({ kind }) => kind)).toContain("lost");
  });
});
