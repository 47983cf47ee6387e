/** The power-loss test can fail: it is run on arrays that leave out what makes writes durable. */
import { afterEach, describe, expect, test } from "vitest";
import { type Mutant, makeMutant, type Patch } from "../support/mutant.ts";
import { printLife } from "../support/powerloss/power-report.ts";
import { PowerRig } from "../support/powerloss/power-rig.ts";
import { hasTools } from "../support/tools.ts";

const SEED = Number(process.env.VARRAY_POWERLOSS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const LIVES_MAX = 6;
const IMAGES_PER_LIFE = 40;
const LOAD_MILLISECONDS = 1500;

const JOURNAL_NOT_SYNCED: Patch = {
  file: "drivers/journal-file/sync.worker.js",
  find: /fdatasyncSync\(descriptor\);/,
  replace: "",
};
/** A zone's entry in its folder: its strips are synced, and all of it is gone. */
const ZONE_BIRTH_NOT_SYNCED: Patch = {
  file: "drivers/drive/zone-folders.js",
  find: /renameSync\(unborn, this\.path\(zone\)\);\s+fsyncFolder\(this\.folder\);/,
  replace: "renameSync(unborn, this.path(zone));",
};
const STRIPS_NOT_SYNCED: Patch = {
  file: "drivers/drive/level-database.js",
  find: /handle\.batch\(operations, \{ sync: true \}\)/,
  replace: "handle.batch(operations, { sync: false })",
};
const ACKNOWLEDGED_BEFORE_THE_SYNC: Patch = {
  file: "src/volume/write-path.js",
  find: /else if \(io\.forceUnitAccess \|\| journal\.held \|\| this\.#hooks\.writesThrough\(io\.volume\)\)/,
  replace: "else if (this.#hooks.writesThrough(io.volume))",
};

let rig: PowerRig | undefined;
let mutant: Mutant | undefined;
afterEach(() => {
  rig?.remove();
  mutant?.remove();
  rig = undefined;
  mutant = undefined;
});

/**
 * Lives until something is found.
 * @param wanted - of this kind
 * @returns what kinds of findings there were
 */
async function livesOf(patch: Patch, wanted?: string): Promise<string[]> {
  mutant = makeMutant([patch]);
  process.stdout.write(`power-loss test of a mutant: seed ${SEED}\n`);
  rig = await PowerRig.start({ seed: SEED, dist: mutant.dist, loadMilliseconds: LOAD_MILLISECONDS });
  for (let life = 1; life <= LIVES_MAX; life++) {
    const report = await rig.life(IMAGES_PER_LIFE, ({ findings }) =>
      findings.some(({ kind }) => wanted === undefined || kind === wanted),
    );
    process.stdout.write(`${printLife(report)}\n`);
    if (report.findings.length === 0) continue;
    return report.findings.flatMap(({ findings }) => findings.map(({ kind }) => kind));
  }
  return [];
}

describe.skipIf(!hasTools("strace"))("power loss, of arrays that are broken", { timeout: 300_000 }, () => {
  test("finds lost writes when the journal is not synced", async () => {
    expect(await livesOf(JOURNAL_NOT_SYNCED, "lost")).toContain("lost");
  });

  test("finds lost writes when FUA is acknowledged before the sync", async () => {
    expect(await livesOf(ACKNOWLEDGED_BEFORE_THE_SYNC, "lost")).toContain("lost");
  });

  test("finds that zones are gone when their folder is not synced after their birth", async () => {
    expect((await livesOf(ZONE_BIRTH_NOT_SYNCED)).length).toBeGreaterThan(0);
  });

  test("finds that strips and map are gone when LevelDB's batches are not synced", async () => {
    expect((await livesOf(STRIPS_NOT_SYNCED)).length).toBeGreaterThan(0);
  });
});
