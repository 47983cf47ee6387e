/** Power loss at any moment, on files as a real run left them; what was flushed or FUA is there afterwards. docs/testing.md. */
import { afterAll, afterEach, describe, expect, test } from "vitest";
import { birthImages } from "../support/powerloss/birth-rig.ts";
import { type BirthReport, powerTable, printLife } from "../support/powerloss/power-report.ts";
import { type LifeReport, PowerRig } from "../support/powerloss/power-rig.ts";
import { hasTools } from "../support/tools.ts";

const IMAGES = Number(process.env.VARRAY_POWERLOSS_IMAGES ?? 60);
const IMAGES_PER_LIFE = Number(process.env.VARRAY_POWERLOSS_PER_RUN ?? 50);
const SEED = Number(process.env.VARRAY_POWERLOSS_SEED ?? Math.floor(Math.random() * 2 ** 31));
/** Leaves the folder of a run that failed. */
const KEEP = process.env.VARRAY_POWERLOSS_KEEP === "1";
/** A whole start each, which takes seconds. */
const BIRTH_IMAGES = Math.min(60, Math.ceil(IMAGES / 6));
const LOAD_MILLISECONDS = 1500;
const IMAGE_MILLISECONDS_MAX = 5000;

const lives: LifeReport[] = [];
const births: BirthReport[] = [];
const startedAt = performance.now();
let rig: PowerRig | undefined;
afterEach(({ task }) => {
  rig?.remove(KEEP && task.result?.state === "fail");
  rig = undefined;
});

afterAll(() => {
  const seconds = (performance.now() - startedAt) / 1000;
  process.stdout.write(`\n${powerTable(lives, births, { seed: SEED, seconds })}\n`);
});

describe.skipIf(!hasTools("strace"))("power loss", () => {
  const timeout = 60_000 + IMAGES * IMAGE_MILLISECONDS_MAX;
  test(`keeps what was promised to be durable, on ${IMAGES} images of real files`, { timeout }, async () => {
    process.stdout.write(`power-loss test: seed ${SEED} (VARRAY_POWERLOSS_SEED), ${IMAGES} images (VARRAY_POWERLOSS_IMAGES)\n`);
    rig = await PowerRig.start({ seed: SEED, loadMilliseconds: LOAD_MILLISECONDS });
    for (let images = 0; images < IMAGES; ) {
      const report = await rig.life(Math.min(IMAGES_PER_LIFE, IMAGES - images));
      lives.push(report);
      process.stdout.write(`${printLife(report)}\n`);
      expect(report.findings, `seed ${SEED}`).toEqual([]);
      images += report.images;
    }
  });

  test(`starts again on ${BIRTH_IMAGES} images of its first start`, { timeout }, async () => {
    const { findings, events } = await birthImages({ seed: SEED, images: BIRTH_IMAGES, keep: KEEP });
    process.stdout.write(`power-loss test: ${BIRTH_IMAGES} images of a first start (${events} changes of files)\n`);
    births.push({ images: BIRTH_IMAGES, findings: findings.length });
    expect(findings, `seed ${SEED}`).toEqual([]);
  });
});
