/** A drive that was lost is replaced on command, and a scrub finds what was done to the others: over a host's data. */
import { rmSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { flipBytesInZones } from "../support/damage.ts";
import { Random } from "../support/random.ts";
import { countWrongSectors, writeStamped } from "../support/stamped-lun.ts";

const SECTORS = (24 * 2 ** 20) / 512;

/** One story, told in order: each test goes on where the one before it ended. */
describe.sequential("drives replaced, and a scrub", () => {
  let array: RunningArray;
  beforeAll(async () => {
    array = await startArray({ env: { VARRAY_HEALING_MISSING_SECONDS: "0" } });
    await writeStamped(array, { lun: 0, sectors: SECTORS, sequence: 1 }, 0);
    await array.destage("A");
  });
  afterAll(() => array?.remove());

  const post = (path: string, body?: object): Promise<Response> =>
    array.api(`/api/v1/${path}`, { method: "POST", ...(body === undefined ? {} : { body }) });

  async function eventually(what: string, is: () => Promise<boolean>): Promise<void> {
    for (let n = 0; n < 300; n++) {
      if (await is()) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    throw new Error(`not in half a minute: ${what}; ${JSON.stringify((await array.pool("A")).drives)}`);
  }

  const stateOf = async (drive: string): Promise<string | undefined> =>
    (await array.pool("A")).drives.find(({ name }) => name === drive)?.state;

  test("a drive that is in use is not replaced, nor one that is not there", async () => {
    const refused = await post("drives/01/replace");
    expect([refused.status, await refused.json()]).toMatchObject([
      409,
      { error: { message: expect.stringContaining("in use") } },
    ]);
    expect((await post("drives/77/replace")).status).toBe(404);
    expect((await post("drives/08/replace")).status).toBe(409);
  });

  test("a drive that was lost is made anew in its place, and the spare stands by again", async () => {
    expect((await post("drives/01/pull")).status).toBe(200);
    await writeStamped(array, { lun: 0, sectors: SECTORS, sequence: 2 }, 0);
    await array.destage("A");
    await eventually("the spare is online", async () => (await stateOf("08")) === "online");
    expect((await post("drives/01/replace")).status).toBe(200);
    await eventually("the drive has its place again", async () => (await stateOf("01")) === "online");
    await eventually("the spare stands by", async () => (await stateOf("08")) === "spare");
    expect((await array.pool("A")).state).toBe("optimal");
    // The new drive is as good as another.
    expect((await post("drives/00/pull")).status).toBe(200);
    expect(await countWrongSectors(array, { lun: 0, sectors: SECTORS, sequence: 2 }, 0)).toBe(0);
    await eventually("the spare is online again", async () => (await stateOf("08")) === "online");
  });

  test("it is known after a restart, and a place whose folder is gone can be given a drive", async () => {
    await array.stop();
    rmSync(join(array.dataFolder, "drives", "00"), { recursive: true, force: true });
    await array.restart();
    expect(await stateOf("01")).toBe("online");
    expect((await post("drives/00/replace")).status).toBe(200);
    await eventually("all places have their drives", async () => (await stateOf("00")) === "online");
    await eventually("the spare stands by", async () => (await stateOf("08")) === "spare");
  });

  test("a scrub finds and mends what was damaged while the array was off", async () => {
    await array.stop();
    flipBytesInZones(join(array.dataFolder, "drives", "02"), new Random(7), 4);
    await array.restart();
    expect((await post("pools/A/scrub", { action: "start" })).status).toBe(200);
    const scrub = async () => ((await (await array.api("/api/v1/pools/A")).json()) as { scrub: ScrubSeen }).scrub;
    await eventually("it is done", async () => (await scrub()).last !== undefined);
    expect((await scrub()).last).toMatchObject({ lostBlocks: 0, lostStrips: 0 });
    const found = (await scrub()).last!.badStrips;
    expect(found).toBeGreaterThan(0);
    expect((await post("pools/A/scrub", { action: "start" })).status).toBe(200);
    await eventually("it is done again", async () => (await scrub()).last!.badStrips === 0);
    expect(await countWrongSectors(array, { lun: 0, sectors: SECTORS, sequence: 2 }, 1)).toBe(0);
    const refused = await post("pools/A/scrub", { action: "pause" });
    expect(refused.status).toBe(409);
  });
});

interface ScrubSeen {
  readonly last?: { readonly badStrips: number; readonly lostBlocks: number };
}
