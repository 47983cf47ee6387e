import { describe, expect, test } from "vitest";
import { MemoryDriveState } from "../../../drivers/drive/memory-drive.ts";
import { MemoryJournalState } from "../../../drivers/journal-file/memory-journal-file.ts";
import type { RaidShape } from "../../../src/raid/raid-level.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { PoolRefusedError } from "../../../src/volume/pool-members.ts";
import { until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  SMALL_POOL,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const BLOCKS = 60;

type Drives = readonly MemoryDriveState[];

function copyOf(state: MemoryDriveState): MemoryDriveState {
  const copy = new MemoryDriveState({ ...state.identity, geometry: state.identity });
  for (const [zone, { finished, nextStrip, strips }] of state.zones) {
    copy.zones.set(zone, { finished, nextStrip, strips: new Map(strips) });
  }
  for (const [key, value] of state.metadata) copy.metadata.set(key, value);
  copy.ledger = state.ledger;
  return copy;
}

function drivesOf(media: MemoryPoolMedia): Drives {
  return media.drives.map((state) => copyOf(state!));
}

function content(seed: number): Uint8Array {
  return new Uint8Array(BLOCKS * BLOCK).map((_, n) => (n * 13 + (n >> 12) * 5 + seed * 71) & 0xff);
}

/** A pool's life, with copies of its drives from many moments; hosts know the content of the last one. */
async function life(raid: RaidShape, endsDestaged = false): Promise<{ media: MemoryPoolMedia; moments: Drives[]; last: number }> {
  const media = new MemoryPoolMedia({ ...SMALL_POOL, ...raid, zoneSlots: 24, journalBytes: 4 * 1024 * 1024 });
  const moments: Drives[] = [];
  const keep = (): void => void moments.push(drivesOf(media));
  let last = 0;
  for (let run = 0; run < 3; run++) {
    const pool = await openMemoryPool(media, { hurry: 50 });
    keep();
    if (run === 0) await pool.service.createVolume(0, volumeDocument(1, 500 * BLOCK));
    for (let round = 0; round < 3; round++) {
      await writeBytes(pool, 1, 0, content(++last));
      await pool.service.pool(0).destageAll();
      keep();
    }
    // A change of the document that nothing else goes with; and what only the journal has.
    await pool.service.createVolume(0, volumeDocument(10 + run, 100 * BLOCK));
    if (run !== 1) await writeBytes(pool, 1, 0, content(++last));
    if (endsDestaged) await pool.service.pool(0).destageAll();
    if (run === 1) await pool.service.stop();
    pool.kill();
    keep();
  }
  return { media, moments, last };
}

function subsets(count: number, size: number): number[][] {
  if (size === 0) return [[]];
  const sets: number[][] = [];
  for (let n = size - 1; n < count; n++) for (const rest of subsets(n, size - 1)) sets.push([...rest, n]);
  return sets;
}

function subsetsOfAll(count: number): number[][] {
  return Array.from({ length: count }, (_, size) => subsets(count, size + 1)).flat();
}

async function contentOf(pool: OpenedPool): Promise<Buffer> {
  await pool.service.pool(0).destageAll();
  pool.service.pool(0).parts.cache.removeRange(1, 0, 500);
  const { status, data } = await readBytes(pool, 1, 0, BLOCKS * BLOCK);
  expect(status).toBe(BLOCK_STATUS.good);
  return Buffer.from(data);
}

const LEVELS: readonly RaidShape[] = [
  { level: 1, dataDrives: 1, copies: 2 },
  { level: 5, dataDrives: 2, copies: 1 },
  { level: 6, dataDrives: 2, copies: 1 },
];
/** Of which more can be lost than the level makes good, and what is left can still be known to be the newest. */
const WIDE: readonly RaidShape[] = [{ level: 5, dataDrives: 3, copies: 1 }];

describe.each([...LEVELS, ...WIDE])("a pool of RAID-$level, $dataDrives × $copies", (raid) => {
  const level = raidLevel(raid);

  /** Opens with those drives, and with the journal as it was at last. */
  async function opened(
    whole: { media: MemoryPoolMedia; moments: Drives[] },
    drives: readonly (MemoryDriveState | undefined)[],
    readOnly?: object,
  ): Promise<{ media: MemoryPoolMedia; pool: OpenedPool | PoolRefusedError }> {
    const media = new MemoryPoolMedia(whole.media.shape);
    media.journal = journalOf(whole.media);
    drives.forEach((state, n) => {
      media.drives[n] = state === undefined ? undefined : copyOf(state);
    });
    const pool = await openMemoryPool(media, {
      hurry: 50,
      ...(readOnly === undefined ? {} : { readOnly }),
    }).catch((error: unknown) => {
      if (error instanceof PoolRefusedError) return error;
      throw error;
    });
    return { media, pool };
  }

  test("with any tolerated set of drives removed or rolled back to any moment it starts right, and they get what they lack", async () => {
    const whole = await life(raid);
    const current = whole.moments.at(-1)!;
    for (let size = 1; size <= level.tolerance; size++) {
      for (const set of subsets(level.driveCount, size)) {
        for (let moment = -1; moment < whole.moments.length - 1; moment++) {
          const says = `drives ${set.join(" and ")}, ${moment < 0 ? "removed" : `of moment ${moment}`}`;
          const drives = current.map((state, n) => (set.includes(n) ? whole.moments[moment]?.[n] : state));
          const { media, pool } = await opened(whole, drives);
          if (pool instanceof Error) throw new Error(`${says}: ${pool.message}`);
          expect(Buffer.compare(await contentOf(pool), content(whole.last)), says).toBe(0);
          if (moment >= 0) {
            const { record } = pool.service.pool(0);
            await until(() => record.document.members.every(({ state }) => state === "online"));
            // They are worth as much as the others now: without as many of those it is all there.
            pool.kill();
            const others = [...Array(level.driveCount).keys()].filter((n) => !set.includes(n)).slice(0, level.tolerance);
            for (const n of others) media.drives[n] = undefined;
            const again = await openMemoryPool(media, { hurry: 50 });
            expect(Buffer.compare(await contentOf(again), content(whole.last)), `${says}, without ${others.join(" and ")}`).toBe(
              0,
            );
            again.kill();
          }
          pool.kill();
        }
      }
    }
  }, 120_000);

  test.each([
    ["in the journal, too", false],
    ["on the drives alone", true],
  ])(
    "with more than that, and what is newest %s, it starts right or refuses; it never serves what is stale",
    async (_, destaged) => {
      const whole = await life(raid, destaged);
      const current = whole.moments.at(-1)!;
      for (let size = level.tolerance + 1; size <= level.driveCount; size++) {
        for (const set of subsets(level.driveCount, size)) {
          // Copies of the last moments may be of the very document that the others have.
          for (let moment = -1; moment < whole.moments.length - 1; moment++) {
            const drives = current.map((state, n) => (set.includes(n) ? whole.moments[moment]?.[n] : state));
            if (drives.every((state) => state === undefined)) continue;
            const { pool } = await opened(whole, drives);
            if (pool instanceof Error) {
              if (moment > 0) expect(pool.message).toContain("v1");
              continue;
            }
            expect(
              Buffer.compare(await contentOf(pool), content(whole.last)),
              `drives ${set.join(" and ")} of moment ${moment}`,
            ).toBe(0);
            pool.kill();
          }
        }
      }
    },
    120_000,
  );

  test("with more than that, for reading, it refuses, or has what hosts know, or medium errors: never what is stale", async () => {
    const whole = await life(raid, true);
    const current = whole.moments.at(-1)!;
    const right = content(whole.last);
    const count = { opened: 0, blocks: 0 };
    const sets = subsetsOfAll(level.driveCount).filter(({ length }) => length > level.tolerance);
    for (const set of sets) {
      for (let moment = -1; moment < whole.moments.length - 1; moment++) {
        // The others as they are, or all of them of that moment as well, and the journal alone knows better.
        for (const others of moment < 0 ? [current] : [current, whole.moments[moment]!]) {
          const removes = others !== current;
          const drives = others.map((state, n) => (!set.includes(n) ? state : removes ? undefined : whole.moments[moment]?.[n]));
          if (drives.every((state) => state === undefined)) continue;
          const { pool } = await opened(whole, drives, {});
          if (pool instanceof Error) continue;
          count.opened += 1;
          for (let block = 0; block < BLOCKS; block++) {
            const { status, data } = await readBytes(pool, 1, block * BLOCK, BLOCK);
            const says = `drives ${set.join(" and ")} ${removes ? "removed, the others" : ""} of moment ${moment}, block ${block}`;
            expect([BLOCK_STATUS.good, BLOCK_STATUS.mediumError], says).toContain(status);
            if (status === BLOCK_STATUS.mediumError) continue;
            count.blocks += 1;
            expect(Buffer.compare(data, right.subarray(block * BLOCK, (block + 1) * BLOCK)), says).toBe(0);
          }
          pool.kill();
        }
      }
    }
    if (level.tolerance + 1 < level.driveCount / 2 + 1) expect(count.blocks).toBeGreaterThan(0);
  }, 240_000);

  test("with drives that changed places it starts right: a drive is who it says that it is", async () => {
    const whole = await life(raid);
    const current = whole.moments.at(-1)!;
    for (const [a, b] of subsets(level.driveCount, 2)) {
      const drives = [...current];
      [drives[a!], drives[b!]] = [drives[b!]!, drives[a!]!];
      const { pool } = await opened(whole, drives);
      if (pool instanceof Error) throw pool;
      expect(Buffer.compare(await contentOf(pool), content(whole.last))).toBe(0);
      expect(pool.service.status()[0]!.state).toBe("optimal");
      pool.kill();
    }
  });
});

/** The journal as the last run left it; the pool that is opened over it changes a copy. */
function journalOf(media: MemoryPoolMedia): MemoryJournalState {
  const { cached, durable } = media.journal!;
  const copy = new MemoryJournalState(cached.byteLength);
  copy.cached.set(cached);
  copy.durable.set(durable);
  return copy;
}
