import { afterAll, describe, expect, test } from "vitest";
import type * as BulkWorkModule from "../../../../directors/thread-pool/bulk-work.ts";
import type * as ThreadPoolModule from "../../../../directors/thread-pool/thread-pool.ts";
import { builtStripes } from "../../../support/built-stripes.ts";

// Threads start from the build only.
const built = new URL("../../../../dist/directors/thread-pool/", import.meta.url).href;
const { ThreadPool } = (await import(`${built}thread-pool.js`)) as typeof ThreadPoolModule;
const { threadPoolBulkWork } = (await import(`${built}bulk-work.js`)) as typeof BulkWorkModule;

const stripes = builtStripes({ level: 6, dataDrives: 4 });
const pool = new ThreadPool({ transfer: stripes.transfer, threadsMax: 1 });
const bulk = threadPoolBulkWork(pool);

describe("stripes in bulk on the thread pool", () => {
  afterAll(() => pool.close());

  test("are looked at and made anew where they lie", async () => {
    expect(await bulk.verify(stripes.job)).toEqual([]);
    stripes.drive(2).fill(0);
    const stripe = stripes.job.firstStripe;
    expect(await bulk.verify({ ...stripes.job, count: 1 })).toEqual([{ stripe, position: 2, kind: "unsound" }]);
    expect(await bulk.reconstruct({ ...stripes.job, target: 2 })).toEqual({ lost: [], doubtful: [] });
    expect(stripes.drive(2).equals(stripes.original[2]!)).toBe(true);
    expect(await bulk.verify(stripes.job)).toEqual([]);
  });
});
