/**
 * Every RAID level, in one started array, while hosts write and read through both directors: as many drives are lost as may be, and spares
 * rebuilt; then more than redundancy makes good, and what is lost is told exactly, block by block. The levels' stories run side by side.
 * `VARRAY_LEVELS_ROUNDS` tells them again, each time of another array with another seed.
 */
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { LEVEL_CASES, type LevelCase, levelPools } from "../support/levels/level-cases.ts";
import { LevelStory, type LossSeen } from "../support/levels/level-story.ts";
import { makeSmallArray } from "../support/small-array.ts";

const ROUNDS = Number(process.env.VARRAY_LEVELS_ROUNDS ?? 1);
const SEED = Number(process.env.VARRAY_LEVELS_SEED ?? Math.floor(Math.random() * 2 ** 31));
const SEEDS = Array.from({ length: ROUNDS }, (_, n) => SEED + n);
const STORY_MILLISECONDS_MAX = 300_000;
const FAST_FOLDER = "/dev/shm";
const BLOCK_BYTES = 4096;
const SHOWN = 10;
/** Room for what hosts write while zones can't be emptied, as it is not known yet what of them is lost. */
const ZONES = 32;

const ENV = {
  VARRAY_MEMORY_FRAMES: "64MiB",
  VARRAY_DESTAGE_AGE_SECONDS: "1",
  VARRAY_HEALING_MISSING_SECONDS: "0",
  // What is pulled or broken stays out, and a place's next drive is a spare.
  VARRAY_HEALING_COPY_BACK: "false",
  // All levels at once keep a small machine busy: that is not what is looked at here.
  VARRAY_FAILOVER_HANG_MILLISECONDS: "60000",
  // Bad strips alone are no reason to give a drive up here.
  VARRAY_DRIVE_HEALTH_PREDICTIVE_ERRORS: "1000000",
  VARRAY_DRIVE_HEALTH_FAILED_ERRORS: "1000000",
};

/** By level: what was lost beyond redundancy, one finding after another. */
const losses = new Map<string, string[]>();

function note({ label }: LevelCase, { unreadable, listed }: LossSeen): void {
  const told = `${unreadable.size} blocks, ${listed.size} of them on the list`;
  losses.set(label, [...(losses.get(label) ?? []), told]);
}

afterAll(() => {
  const rows = [...losses].map(([label, told]) => `| ${label} | ${told.join(" | ")} |\n`);
  process.stdout.write(
    `\nSeed ${SEED}; lost to bad strips, and to one drive more while spares are rebuilt:\n\n${rows.join("")}\n`,
  );
});

describe.each(SEEDS)("every RAID level under load, seed %i (VARRAY_LEVELS_SEED)", (seed) => {
  const concurrent = { timeout: STORY_MILLISECONDS_MAX };
  const stories = new Map<string, LevelStory>();
  let folder = "";
  let array: RunningArray;

  beforeAll(async () => {
    folder = mkdtempSync(join(existsSync(FAST_FOLDER) ? FAST_FOLDER : tmpdir(), "varray-levels-"));
    const { dataFolder, env, pools } = await makeSmallArray(folder, levelPools(LEVEL_CASES), ZONES);
    array = await startArray({ dataFolder, env: { ...env, ...ENV } });
    for (const [lun, level] of LEVEL_CASES.entries())
      stories.set(level.label, new LevelStory(array, level, { lun, bytes: pools.get(level.pool)!.lunBytes, seed }));
    await Promise.all([...stories.values()].map((story) => story.fill()));
    await forget();
  }, STORY_MILLISECONDS_MAX);
  afterAll(async () => {
    await array?.remove();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What is still in memory is not lost with the drives. */
  async function forget(): Promise<void> {
    await array.kill9();
    await array.restart();
  }

  const storyOf = ({ label }: LevelCase): LevelStory => stories.get(label)!;

  async function expectAllThere({ host, level }: LevelStory): Promise<void> {
    expect([...(await host.readAll())], `${level.label}: blocks that can't be read`).toEqual([]);
    expect(host.violations.slice(0, SHOWN), level.label).toEqual([]);
  }

  /** What hosts see and what the array lists is one and the same. */
  function expectExact(found: LossSeen, { host, level }: LevelStory): void {
    const { listed, lostBytes, unlistedBytes, unreadable } = found;
    expect(lostBytes, `${level.label}: bytes lost, by the array and by what hosts can't read`).toBe(
      unreadable.size * BLOCK_BYTES,
    );
    const wrong = [...listed].filter((block) => !unreadable.has(block));
    expect(wrong.slice(0, SHOWN), `${level.label}: listed, and readable`).toEqual([]);
    expect(listed.size * BLOCK_BYTES, `${level.label}: on the list`).toBe(lostBytes - unlistedBytes);
    expect(host.violations.slice(0, SHOWN), level.label).toEqual([]);
  }

  async function expectHealed(story: LevelStory, { unreadable }: LossSeen): Promise<void> {
    await story.heal(unreadable);
    expect(await story.state()).toMatchObject({ state: "optimal" });
    expect((await story.state()).lost?.lostBytes ?? 0, "once written anew").toBe(0);
    await expectAllThere(story);
  }

  describe("strips of more drives than may be lost are bad", () => {
    test.concurrent.each(LEVEL_CASES)("$label: what they held, and nothing else", concurrent, async (level) => {
      const story = storyOf(level);
      const { host } = story;
      const expected = await story.spoilStrips();
      host.mediumErrorsAllowed = true;
      await host.start({ workedSectors: story.workedSectors });
      await host.goesOn();
      expect((await host.readAll()).size, "blocks that answer MEDIUM ERROR").toBe(expected);
      const found = await story.loss();
      await host.goesOn();
      await host.stop();
      await story.soundAgain();
      note(level, found);
      expect(found.unreadable.size).toBe(expected);
      expectExact(found, story);
      expect(await host.readAll(), "given up for good").toEqual(found.unreadable);
      await expectHealed(story, found);
    });
  });

  describe("as many drives as may be are lost", () => {
    test.concurrent.each(LEVEL_CASES)("$label: spares have all of it, and hosts notice nothing", concurrent, async (level) => {
      const story = storyOf(level);
      const before = (await story.state()).drives;
      const after = (await story.loseAsMany()).drives;
      for (const position of level.lose) expect(after[position]!.name).not.toBe(before[position]!.name);
      await expectAllThere(story);
      expect((await story.state()).lost?.lostBytes ?? 0).toBe(0);
    });
  });

  /** Each leaves a pool that serves, and something of it lost. */
  const BEYOND = [{ name: "while spares are rebuilt", lose: (story: LevelStory) => story.loseOneMore() }];
  describe.each(BEYOND)("one drive more is lost, $name", ({ lose }) => {
    beforeAll(forget, STORY_MILLISECONDS_MAX);

    test.concurrent.each(LEVEL_CASES)("$label: the rest is there, and what is not is listed", concurrent, async (level) => {
      const story = storyOf(level);
      const { history } = story.host;
      const safe = await lose(story);
      const found = await story.loss();
      note(level, found);
      expectExact(found, story);
      expect(found.unreadable.size, "blocks lost").toBeGreaterThan(0);
      expect(found.unreadable.size).toBeLessThanOrEqual((level.lostShareMax * history.sectors) / 8);
      expect(
        [...found.unreadable].filter((block) => safe.has(block)),
        "lost, and written to all drives",
      ).toEqual([]);
      await expectHealed(story, found);
    });
  });

  test("after kill -9 all of it is there", { timeout: STORY_MILLISECONDS_MAX }, async () => {
    await forget();
    for (const story of stories.values()) await expectAllThere(story);
  });
});
