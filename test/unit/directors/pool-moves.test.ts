import { beforeEach, expect, test, vi } from "vitest";
import type { OpenPools, OwnedPool } from "../../../directors/back-end/owned-pool.ts";
import type { FromDirector } from "../../../directors/director-messages.ts";
import { PoolMoves, type PoolMovesOptions } from "../../../directors/pool-moves.ts";
import { DriveError } from "../../../drivers/drive/drive.ts";
import type { MemoryJournalFile } from "../../../drivers/journal-file/memory-journal-file.ts";
import type { DeviceServer } from "../../../src/scsi/device-server.ts";
import { interceptDrive, until } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, type OpenedPool, openMemoryPool, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

const owned = vi.hoisted(() => ({ next: undefined as unknown }));

vi.mock("../../../directors/back-end/owned-pool.ts", async (original) => ({
  ...(await original<typeof import("../../../directors/back-end/owned-pool.ts")>()),
  openOwnedPool: async () => owned.next,
}));

const told: FromDirector[] = [];

beforeEach(() => {
  told.length = 0;
});

/** The moves of a director that has the pool. `pools` is what it serves, and what it has let go of. */
async function movesOf(pool: OpenedPool): Promise<{ moves: PoolMoves; letGo: () => number }> {
  let letGo = 0;
  const opened: OwnedPool = {
    pool: pool.service.pool(0),
    reachable: async () => false,
    letGo: async () => {
      letGo += 1;
      opened.pool.letGo();
    },
  };
  owned.next = opened;
  const deviceServer = { release: (_volumes: readonly number[], done: () => void) => done() } as unknown as DeviceServer;
  const moves = new PoolMoves({
    open: {} as OpenPools,
    runtime: {} as PoolMovesOptions["runtime"],
    directorIndex: 0,
    served: () => ({ pools: pool.service, deviceServer }),
    tellMain: (message) => told.push(message),
    tellControl: () => undefined,
  });
  const journal = { path: "", made: false };
  await moves.openFirst([{ index: 0, journal, openedBefore: false }]);
  return { moves, letGo: () => letGo };
}

test("a pool whose journal can't be made durable when it is to go is let go of as it is", async () => {
  let file: MemoryJournalFile | undefined;
  const pool = await openMemoryPool(new MemoryPoolMedia(), {
    wrapJournal: (opened) => {
      file = opened as MemoryJournalFile;
      return opened;
    },
  });
  await pool.service.createVolume(0, volumeDocument(1, 1024 * 1024));
  await writeBytes(pool, 1, 0, new Uint8Array(4096));
  const { moves, letGo } = await movesOf(pool);
  file!.failNext = "sync";
  moves.close(0);
  await until(() => told.length > 0);
  expect(told).toEqual([{ type: "closed", pool: 0 }]);
  expect([letGo(), pool.service.pools]).toEqual([1, []]);
  pool.kill();
});

test("a pool whose drives can't be reached when it is to go is let go of as it is", async () => {
  const media = new MemoryPoolMedia();
  let isLost = false;
  media.wrap = (drive) =>
    interceptDrive(drive, async (operation, _parameters, run) => {
      if (!isLost || operation !== "metadataBatch") return run();
      const error = new DriveError("unreachable", drive.name, "its thread took no request by the deadline");
      error.threadLost = true;
      throw error;
    });
  const pool = await openMemoryPool(media);
  const { moves, letGo } = await movesOf(pool);
  isLost = true;
  // That nothing is in its journal is put on record last.
  moves.close(0);
  await until(() => told.length > 0);
  expect(told).toEqual([{ type: "closed", pool: 0 }]);
  expect([letGo(), pool.service.pools]).toEqual([1, []]);
  pool.kill();
});
