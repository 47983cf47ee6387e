/** The disk below the journal is full: hosts wait, then are told; nothing is lost; the pool goes on by itself once there is room. */
import { describe, expect, test } from "vitest";
import type { JournalFile } from "../../../drivers/journal-file/journal-file.ts";
import type { MemoryJournalFile } from "../../../drivers/journal-file/memory-journal-file.ts";
import { SUPERBLOCK_BYTES } from "../../../src/journal/record.ts";
import { BLOCK_STATUS } from "../../../src/volume/block-io.ts";
import { until } from "../../support/gated-drive.ts";
import {
  MemoryPoolMedia,
  type OpenedPool,
  openMemoryPool,
  readBytes,
  volumeDocument,
  writeBytes,
} from "../../support/memory-pool.ts";

const BLOCKS = 32;
const RANGE_BYTES = BLOCKS * 4096;
/** Superblocks lie where they were; what is written for the first time finds no room. */
const SUPERBLOCKS_ONLY = SUPERBLOCK_BYTES;

/** A pool whose journal's disk has room for `room.bytes` of each write; opened again and again, as main has it done. */
class Rig {
  readonly media = new MemoryPoolMedia();
  readonly room = { bytes: Number.POSITIVE_INFINITY };
  readonly content = new Map<number, number>();
  readonly mirrored: boolean;
  pool!: OpenedPool;

  constructor(mirrored = false) {
    this.mirrored = mirrored;
  }

  /** @param pagesKept - by the process that wrote the journal, as the array does when there was no room */
  async open(pagesKept = true): Promise<void> {
    const { room } = this;
    const wrapJournal = (file: JournalFile): JournalFile => {
      Object.defineProperty(file as MemoryJournalFile, "roomBytes", { get: () => room.bytes });
      return file;
    };
    this.pool = await openMemoryPool(this.media, { hurry: 200, ageSeconds: 1, wrapJournal, mirrored: this.mirrored, pagesKept });
  }

  async begin(): Promise<this> {
    await this.open();
    await this.pool.service.createVolume(0, volumeDocument(1, 1024 * 4096));
    for (let n = 0; n < 4; n++) expect(await this.write(n, n + 1)).toBe(BLOCK_STATUS.good);
    return this;
  }

  async reopen(pagesKept = true): Promise<void> {
    this.pool.kill();
    await this.open(pagesKept);
  }

  async write(range: number, fill: number): Promise<number> {
    const { status } = await writeBytes(this.pool, 1, range * RANGE_BYTES, new Uint8Array(RANGE_BYTES).fill(fill));
    if (status === BLOCK_STATUS.good) this.content.set(range, fill);
    return status;
  }

  async check(): Promise<void> {
    for (const [range, fill] of this.content) {
      const { status, data } = await readBytes(this.pool, 1, range * RANGE_BYTES, RANGE_BYTES);
      expect([status, data.every((byte) => byte === fill)]).toEqual([BLOCK_STATUS.good, true]);
    }
  }

  get health() {
    return this.pool.service.pool(0).parts.health;
  }

  count(type: string): number {
    return this.pool.events.filter((event) => event.type === type).length;
  }
}

describe("pool: the disk below the journal is full", () => {
  test("a record that does not fit is not done, whatever is there of it; the pool is to be opened anew, and people are told", async () => {
    const rig = await new Rig().begin();
    for (const bytes of [0, 100, 4096, 9 * 4096]) {
      rig.room.bytes = bytes;
      expect(await rig.write(1, 99)).toBe(BLOCK_STATUS.reopening);
      expect([rig.health.failed, rig.health.cure]).toEqual([true, "reopening"]);
      expect((await readBytes(rig.pool, 1, 0, 4096)).status).toBe(BLOCK_STATUS.reopening);
      expect([rig.count("journal.noSpace"), rig.count("pool.failed")]).toEqual([1, 0]);
      rig.room.bytes = Number.POSITIVE_INFINITY;
      await rig.reopen();
      await rig.check();
      expect(await rig.write(2, 100 + (bytes % 7))).toBe(BLOCK_STATUS.good);
    }
    rig.pool.kill();
  });

  test("without room for the new owner's superblock it is not opened, and is as it was at the next try", async () => {
    const rig = await new Rig().begin();
    rig.room.bytes = 100;
    for (let tries = 0; tries < 3; tries++) await expect(rig.reopen()).rejects.toMatchObject({ kind: "noSpace" });
    rig.room.bytes = Number.POSITIVE_INFINITY;
    await rig.open();
    await rig.check();
    expect(await rig.write(3, 77)).toBe(BLOCK_STATUS.good);
    await rig.reopen();
    await rig.check();
    rig.pool.kill();
  });

  test("opened without room it reads, lets writes wait, then refuses them with 7/27/07; and takes them when there is room", async () => {
    const rig = await new Rig().begin();
    rig.room.bytes = SUPERBLOCKS_ONLY;
    expect(await rig.write(1, 99)).toBe(BLOCK_STATUS.reopening);
    await rig.reopen();
    expect(rig.health.failed).toBe(false);
    await rig.check();
    expect(await rig.write(1, 99)).toBe(BLOCK_STATUS.spaceExhausted);
    // Again after a minute, which a busy machine may let pass here.
    expect(rig.count("journal.noSpace")).toBeGreaterThan(0);
    // What was dirty goes to the drives, and the journal is trimmed.
    await rig.pool.service.pool(0).destageAll();
    await rig.check();
    let ended = false;
    const waiting = rig.write(1, 55).finally(() => {
      ended = true;
    });
    rig.room.bytes = Number.POSITIVE_INFINITY;
    expect(ended).toBe(false);
    expect(await waiting).toBe(BLOCK_STATUS.good);
    expect(rig.count("journal.hasRoom")).toBe(1);
    for (let n = 0; n < 40; n++) expect(await rig.write(n % 4, n)).toBe(BLOCK_STATUS.good);
    await rig.check();
    await rig.reopen();
    await rig.check();
    rig.pool.kill();
  });

  test("opened by another process without room, it destages and flushes once what it recovered could be written anew", async () => {
    const rig = await new Rig().begin();
    rig.room.bytes = SUPERBLOCKS_ONLY;
    await rig.reopen(false);
    await rig.check();
    let destaged = false;
    const destage = rig.pool.service
      .pool(0)
      .destageAll()
      .finally(() => {
        destaged = true;
      });
    expect(await rig.write(1, 99)).toBe(BLOCK_STATUS.spaceExhausted);
    expect(destaged).toBe(false);
    rig.room.bytes = Number.POSITIVE_INFINITY;
    await destage;
    expect(rig.health.failed).toBe(false);
    await rig.check();
    rig.pool.kill();
  });

  test("a superblock that finds no room is written later, and the one that counts stays", async () => {
    const rig = await new Rig().begin();
    rig.room.bytes = 17;
    const { journal } = rig.pool.service.pool(0).parts;
    await rig.pool.service.pool(0).destageAll();
    await until(() => !journal.hasRoom);
    expect(rig.health.failed).toBe(false);
    await until(() => rig.count("journal.noSpace") > 0);
    rig.room.bytes = Number.POSITIVE_INFINITY;
    await until(() => journal.hasRoom);
    for (let n = 0; n < 400; n++) expect(await rig.write(n % 4, n % 251)).toBe(BLOCK_STATUS.good);
    rig.room.bytes = 17;
    await rig.pool.service.pool(0).destageAll();
    rig.room.bytes = Number.POSITIVE_INFINITY;
    await rig.reopen();
    await rig.check();
    rig.pool.kill();
  });

  test("of two copies one is lost, and the last one is not", async () => {
    const rig = await new Rig(true).begin();
    rig.room.bytes = SUPERBLOCKS_ONLY;
    expect(await rig.write(1, 99)).toBe(BLOCK_STATUS.reopening);
    rig.room.bytes = Number.POSITIVE_INFINITY;
    await rig.reopen();
    await rig.check();
    expect(await rig.write(1, 98)).toBe(BLOCK_STATUS.good);
    await rig.reopen();
    await rig.check();
    rig.pool.kill();
  });
});
