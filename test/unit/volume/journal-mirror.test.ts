import { describe, expect, test } from "vitest";
import { type JournalFile, JournalFileError } from "../../../drivers/journal-file/journal-file.ts";
import type { MemoryJournalFile } from "../../../drivers/journal-file/memory-journal-file.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { turns } from "../../support/gated-drive.ts";
import {
  flush,
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCK = 4096;
const SIZE = 4 * 1024 * 1024;

function content(byte: number): Buffer {
  return Buffer.alloc(BLOCK, byte);
}

/** A pool with two journal files and a volume. `faults` reaches into a file while the pool uses it. */
async function mirroredPool(media = new MemoryPoolMedia()): Promise<{ pool: OpenedPool; files: Map<string, MemoryJournalFile> }> {
  const files = new Map<string, MemoryJournalFile>();
  const pool = await openMemoryPool(media, {
    mirrored: true,
    wrapJournal: (file, copy) => {
      files.set(copy, file as MemoryJournalFile);
      return file;
    },
  });
  if (pool.service.foundVolumes().length === 0) await pool.service.createVolume(0, volumeDocument(1, SIZE));
  return { pool, files };
}

async function blockOf(pool: OpenedPool, block: number): Promise<number> {
  const { status, data } = await readBytes(pool, 1, block * BLOCK, BLOCK);
  expect(status).toBe(BLOCK_STATUS.good);
  expect(data.equals(content(data[0]!))).toBe(true);
  return data[0]!;
}

/** Stops with nothing in the journal, which so is made anew. */
async function stopped(pool: OpenedPool): Promise<void> {
  await pool.service.pool(0).destageAll();
  await pool.service.stop();
}

function events(pool: OpenedPool, type: string): number {
  return pool.events.filter((event) => event.type === type).length;
}

describe("a journal in two copies", () => {
  test("is written and synced in both: either alone has everything after a power loss", async () => {
    for (const missing of ["journal", "mirror"] as const) {
      const media = new MemoryPoolMedia();
      const { pool } = await mirroredPool(media);
      await writeBytes(pool, 1, 0, content(1), true);
      pool.kill();
      media.journal!.powerLoss();
      media.mirror!.powerLoss();
      media[missing] = undefined;
      const { pool: again } = await mirroredPool(media);
      expect(await blockOf(again, 0)).toBe(1);
      expect(events(again, "journal.copyLost")).toBe(1);
      expect(events(again, "journal.copyRestored")).toBe(1);
      again.kill();
    }
  });

  test("a copy that was missing is made whole: then it is enough alone", async () => {
    const media = new MemoryPoolMedia();
    const { pool } = await mirroredPool(media);
    for (let n = 0; n < 40; n++) await writeBytes(pool, 1, n * BLOCK, content(n + 1), true);
    pool.kill();
    media.mirror = undefined;
    const { pool: second } = await mirroredPool(media);
    second.kill();
    media.journal = undefined;
    const { pool: third } = await mirroredPool(media);
    for (let n = 0; n < 40; n++) expect(await blockOf(third, n)).toBe(n + 1);
    third.kill();
  });

  test.each(["write", "sync"] as const)(
    "goes on with one when a %s of the other fails, and never takes that one again as it is",
    async (fault) => {
      for (const failing of ["journal", "mirror"] as const) {
        const other = failing === "journal" ? "mirror" : "journal";
        const media = new MemoryPoolMedia();
        const { pool, files } = await mirroredPool(media);
        await writeBytes(pool, 1, 0, content(1), true);
        files.get(failing)!.failNext = fault;
        expect((await writeBytes(pool, 1, 0, content(2), true)).status).toBe(BLOCK_STATUS.good);
        expect(events(pool, "journal.copyLost")).toBe(1);
        pool.kill();
        media.journal!.powerLoss();
        media.mirror!.powerLoss();
        const kept = media[other]!;
        // Only the copy that missed a write is there: that is worse than none, and must be found out.
        media[other] = undefined;
        await expect(mirroredPool(media)).rejects.toThrow("no copy of its journal can be used");
        media[other] = kept;
        const { pool: again } = await mirroredPool(media);
        expect(await blockOf(again, 0)).toBe(2);
        again.kill();
      }
    },
  );

  test("acknowledges and shows nothing that the lost copy has not, before its loss is on record", async () => {
    const media = new MemoryPoolMedia();
    let recordHeld: (() => void) | undefined;
    let hold = false;
    media.wrap = (drive) =>
      new Proxy(drive, {
        get: (target, property) => {
          const value = Reflect.get(target, property) as unknown;
          if (typeof value !== "function") return value;
          return async (...parameters: unknown[]): Promise<unknown> => {
            if (property === "metadataBatch" && hold) {
              await new Promise<void>((go) => {
                const before = recordHeld;
                recordHeld = () => {
                  before?.();
                  go();
                };
              });
            }
            return await (value as (...given: unknown[]) => unknown).apply(target, parameters);
          };
        },
      });
    const { pool, files } = await mirroredPool(media);
    hold = true;
    files.get("mirror")!.failNext = "write";
    let acknowledged = false;
    const write = writeBytes(pool, 1, 0, content(7)).then((result) => {
      acknowledged = true;
      return result;
    });
    await turns(50);
    // Nor is it shown: at the next start the lost copy might be taken for whole, without it.
    let seen: Buffer | undefined;
    const read = readBytes(pool, 1, 0, BLOCK).then(({ data }) => {
      seen = data;
    });
    await turns(50);
    expect([acknowledged, seen, recordHeld === undefined]).toEqual([false, undefined, false]);
    hold = false;
    recordHeld!();
    expect((await write).status).toBe(BLOCK_STATUS.good);
    await read;
    expect(seen!.equals(content(7).subarray(0, BLOCK))).toBe(true);
    pool.kill();
  });

  test("both copies failing fails the pool: writes are refused, and the journals stay as they are", async () => {
    const media = new MemoryPoolMedia();
    const { pool, files } = await mirroredPool(media);
    await writeBytes(pool, 1, 0, content(1), true);
    for (const file of files.values()) file.failNext = "sync";
    expect((await writeBytes(pool, 1, 0, content(2), true)).status).toBe(BLOCK_STATUS.failed);
    expect(pool.service.status()[0]!.state).toBe("failed");
    expect((await flush(pool, 1)).status).toBe(BLOCK_STATUS.failed);
    pool.kill();
  });

  test("an older copy of the mirror is not taken, though nothing is on record against it", async () => {
    const media = new MemoryPoolMedia();
    const { pool } = await mirroredPool(media);
    await writeBytes(pool, 1, 0, content(1), true);
    const old = { cached: media.mirror!.cached.slice(), durable: media.mirror!.durable.slice() };
    pool.kill();
    const { pool: second } = await mirroredPool(media);
    await writeBytes(second, 1, 0, content(2), true);
    second.kill();
    media.mirror!.cached.set(old.cached);
    media.mirror!.durable.set(old.durable);
    const journal = media.journal;
    media.journal = undefined;
    await expect(mirroredPool(media)).rejects.toThrow("older copy");
    media.journal = journal;
    const { pool: third } = await mirroredPool(media);
    expect(await blockOf(third, 0)).toBe(2);
    third.kill();
  });

  test("what a damaged copy lacks is taken from the other, record by record", async () => {
    const media = new MemoryPoolMedia();
    const { pool } = await mirroredPool(media);
    for (let n = 0; n < 8; n++) await writeBytes(pool, 1, n * BLOCK, content(n + 1), true);
    pool.kill();
    const record = 64 + 32 + BLOCK;
    // One record of each, not the same one: the payload here, the header there.
    media.journal!.cached.fill(0xee, 8192 + 2 * record + 200, 8192 + 2 * record + 300);
    media.mirror!.cached.fill(0xee, 8192 + 5 * record, 8192 + 5 * record + 64);
    const { pool: again } = await mirroredPool(media);
    for (let n = 0; n < 8; n++) expect(await blockOf(again, n)).toBe(n + 1);
    again.kill();
  });

  test("a pool gets a mirror at a later start, and does without it when it is not configured any more", async () => {
    const media = new MemoryPoolMedia();
    const single = await openMemoryPool(media);
    await single.service.createVolume(0, volumeDocument(1, SIZE));
    await writeBytes(single, 1, 0, content(1), true);
    single.kill();
    const { pool: mirrored } = await mirroredPool(media);
    await writeBytes(mirrored, 1, 0, content(2), true);
    mirrored.kill();
    const without = await openMemoryPool(media);
    await writeBytes(without, 1, 0, content(3), true);
    without.kill();
    // The mirror missed that: alone it must not do.
    const journal = media.journal;
    media.journal = undefined;
    await expect(mirroredPool(media)).rejects.toThrow("no copy of its journal can be used");
    media.journal = journal;
    const { pool: again } = await mirroredPool(media);
    expect(await blockOf(again, 0)).toBe(3);
    again.kill();
  });

  test("a copy that can't be written when the pool opens is lost, and the pool opens from the other", async () => {
    for (const failing of ["journal", "mirror"] as const) {
      const media = new MemoryPoolMedia();
      const { pool } = await mirroredPool(media);
      await writeBytes(pool, 1, 0, content(1));
      pool.kill();
      const again = await openMemoryPool(media, {
        mirrored: true,
        wrapJournal: (file, copy) => {
          if (copy === failing)
            file.write = () => {
              throw new JournalFileError("io", "write error");
            };
          return file;
        },
      });
      expect(await blockOf(again, 0)).toBe(1);
      expect(events(again, "journal.copyLost")).toBeGreaterThan(0);
      again.kill();
    }
  });

  test("a copy that was ahead when it was lost brings nothing back that the pool went on without", async () => {
    const media = new MemoryPoolMedia();
    const { pool, files } = await mirroredPool(media);
    await writeBytes(pool, 1, 0, content(1));
    // As after a power failure that left the newest record in one copy only.
    files.get("mirror")!.write = () => undefined;
    await writeBytes(pool, 1, 0, content(2));
    pool.kill();
    let failures = 1;
    const again = await openMemoryPool(media, {
      mirrored: true,
      wrapJournal: (file, copy) => {
        const write = file.write.bind(file);
        file.write = (position, buffers) => {
          if (copy === "journal" && failures-- > 0) throw new JournalFileError("io", "write error");
          write(position, buffers);
        };
        return file;
      },
    });
    expect(await blockOf(again, 0)).toBe(1);
    expect(events(again, "journal.copyRestored")).toBe(1);
    again.kill();
    const { pool: last } = await mirroredPool(media);
    expect(await blockOf(last, 0)).toBe(1);
    last.kill();
  });

  test("a mirror that can't be opened is lost, and the pool opens all the same", async () => {
    const media = new MemoryPoolMedia();
    const { pool } = await mirroredPool(media);
    await writeBytes(pool, 1, 0, content(1), true);
    pool.kill();
    const wrapJournal = (file: JournalFile, copy: string): JournalFile => {
      if (copy === "journal") throw new JournalFileError("io", "its disk is gone");
      return file;
    };
    const again = await openMemoryPool(media, { mirrored: true, wrapJournal });
    expect(await blockOf(again, 0)).toBe(1);
    expect(events(again, "journal.copyLost")).toBe(1);
    again.kill();
  });

  test("a crash between the claims of the copies costs none: either alone has everything", async () => {
    for (const claimed of ["journal", "mirror"] as const) {
      for (const missing of ["journal", "mirror"] as const) {
        const media = new MemoryPoolMedia();
        const { pool } = await mirroredPool(media);
        await writeBytes(pool, 1, 0, content(1), true);
        pool.kill();
        // Twice, as heads go into two places in turn.
        for (let time = 0; time < 2; time++) {
          void openMemoryPool(media, {
            mirrored: true,
            wrapJournal: (file, copy) => {
              // The process ends before the one is claimed, or after: the other's claim is what there is.
              const write = file.write.bind(file);
              file.write = (position, buffers) => {
                if (copy === claimed) write(position, buffers);
              };
              file.sync = (done) => {
                if (copy !== claimed) done(undefined);
              };
              return file;
            },
          });
          await turns(20);
        }
        const { pool: second } = await mirroredPool(media);
        expect(events(second, "journal.copyLost")).toBe(0);
        second.kill();
        media[missing] = undefined;
        const { pool: again } = await mirroredPool(media);
        expect(await blockOf(again, 0)).toBe(1);
        again.kill();
      }
    }
  });

  test("another pool's journal in the mirror's place is left as it is, and the pool opens from the other copy", async () => {
    const foreign = new MemoryPoolMedia();
    const { pool: other } = await mirroredPool(foreign);
    await writeBytes(other, 1, 0, content(9), true);
    other.kill();
    for (const known of [true, false]) {
      const media = new MemoryPoolMedia();
      const first = known ? (await mirroredPool(media)).pool : await openMemoryPool(media);
      if (!known) await first.service.createVolume(0, volumeDocument(1, SIZE));
      await writeBytes(first, 1, 0, content(1), true);
      first.kill();
      media.mirror = foreign.mirror;
      for (let start = 1; start < 4; start++) {
        const { pool: again } = await mirroredPool(media);
        expect(await blockOf(again, 0)).toBe(start);
        await writeBytes(again, 1, 0, content(start + 1), true);
        expect(events(again, "journal.copyLost")).toBe(1);
        expect(events(again, "journal.copyRestored")).toBe(0);
        if (start === 2) await stopped(again);
        again.kill();
      }
    }
    foreign.journal = undefined;
    const { pool: back } = await mirroredPool(foreign);
    expect(await blockOf(back, 0)).toBe(9);
    back.kill();
  });

  test("a copy whose sync failed is written anew when it is made whole: what no sync will cover is not taken for there", async () => {
    for (const failing of ["journal", "mirror"] as const) {
      const media = new MemoryPoolMedia();
      const { pool, files } = await mirroredPool(media);
      await writeBytes(pool, 1, 0, content(1));
      files.get(failing)!.failNext = "sync";
      expect((await writeBytes(pool, 1, BLOCK, content(2), true)).status).toBe(BLOCK_STATUS.good);
      pool.kill();
      const { pool: second } = await mirroredPool(media);
      expect(events(second, "journal.copyRestored")).toBe(1);
      second.kill();
      media[failing === "journal" ? "mirror" : "journal"] = undefined;
      media[failing]!.powerLoss();
      const { pool: third } = await mirroredPool(media);
      expect([await blockOf(third, 0), await blockOf(third, 1)]).toEqual([1, 2]);
      third.kill();
    }
  });

  test("a copy that was not there when the journal was made anew is made whole when it is there again, however often", async () => {
    for (const configured of [true, false]) {
      const media = new MemoryPoolMedia();
      const { pool } = await mirroredPool(media);
      for (let n = 0; n < 8; n++) await writeBytes(pool, 1, n * BLOCK, content(n + 1), true);
      await stopped(pool);
      pool.kill();
      for (let time = 0; time < 2; time++) {
        const without = await openMemoryPool(media, {
          mirrored: configured,
          wrapJournal: (file, copy) => {
            if (copy === "mirror") throw new JournalFileError("io", "its disk is gone");
            return file;
          },
        });
        await writeBytes(without, 1, 0, content(10 + time), true);
        await stopped(without);
        without.kill();
      }
      const { pool: again } = await mirroredPool(media);
      await writeBytes(again, 1, BLOCK, content(20), true);
      again.kill();
      media.journal = undefined;
      const { pool: last } = await mirroredPool(media);
      expect([await blockOf(last, 0), await blockOf(last, 1)]).toEqual([11, 20]);
      last.kill();
    }
  });

  test("what came back after a power loss, from whichever copy had it, is in both from then on", async () => {
    for (const had of ["journal", "mirror"] as const) {
      const media = new MemoryPoolMedia();
      const { pool } = await mirroredPool(media);
      await writeBytes(pool, 1, 0, content(1), true);
      await writeBytes(pool, 1, 0, content(2));
      pool.kill();
      // Nobody asked for it to be durable, and one disk has it.
      media.journal!.powerLoss(() => had === "journal");
      media.mirror!.powerLoss(() => had === "mirror");
      const { pool: second } = await mirroredPool(media);
      expect(await blockOf(second, 0)).toBe(2);
      second.kill();
      media.journal!.powerLoss();
      media.mirror!.powerLoss();
      media[had] = undefined;
      const { pool: third } = await mirroredPool(media);
      expect(await blockOf(third, 0)).toBe(2);
      third.kill();
    }
  });

  test.each([
    ["journal", "write"],
    ["journal", "read"],
    ["mirror", "write"],
    ["mirror", "read"],
  ] as const)(
    "a copy that fails while it is recovered takes nothing with it that is shown afterwards: %s, %s",
    async (failing, operation) => {
      for (let good = 0; good < 9; good++) {
        const media = new MemoryPoolMedia();
        const { pool } = await mirroredPool(media);
        await writeBytes(pool, 1, 0, content(9), true);
        for (let n = 0; n < 8; n++) await writeBytes(pool, 1, n * BLOCK, content(n + 1));
        pool.kill();
        // Each disk lacks another record.
        media.journal!.powerLoss((write) => write !== 5);
        media.mirror!.powerLoss((write) => write !== 3);
        let times = 0;
        const mayFail = (): void => {
          if (++times > good) throw new JournalFileError("io", `${operation} error`);
        };
        const second = await openMemoryPool(media, {
          mirrored: true,
          wrapJournal: (file, copy) => {
            const { write, read } = file;
            if (copy === failing && operation === "write")
              file.write = (...given) => {
                mayFail();
                write.apply(file, given);
              };
            if (copy === failing && operation === "read")
              file.read = (...given) => {
                mayFail();
                return read.apply(file, given);
              };
            return file;
          },
        });
        const shown: number[] = [];
        for (let n = 0; n < 8; n++) shown.push(await blockOf(second, n));
        second.kill();
        media.journal!.powerLoss();
        media.mirror!.powerLoss();
        if (times > good) media[failing] = undefined;
        const { pool: third } = await mirroredPool(media);
        const there: number[] = [];
        for (let n = 0; n < 8; n++) there.push(await blockOf(third, n));
        expect(there, `after ${good} times`).toEqual(shown);
        third.kill();
      }
    },
  );
});
