/** Starts that are cut off again and again while the pool's document is written: each is just another crash. Found by simulation. */
import { describe, expect, test } from "vitest";
import { DriveFence } from "../../../drivers/drive/drive-fence.ts";
import { decodeDocument } from "../../../src/map/metadata-store.ts";
import type { PoolDocument } from "../../../src/volume/pool-document.ts";
import { interceptDrive, turns } from "../../support/gated-drive.ts";
import { MemoryPoolMedia, openMemoryPool, readBytes, volumeDocument, writeBytes } from "../../support/memory-pool.ts";

function versions(media: MemoryPoolMedia): (number | undefined)[] {
  return media.drives.map((drive) => {
    const value = drive!.metadata.get("pool");
    return value === undefined ? undefined : (decodeDocument(value) as PoolDocument).version;
  });
}

/** Opens the pool with a document reaching only some drives before all stops: the n-th of each drive. */
async function cutOff(
  media: MemoryPoolMedia,
  reached: readonly number[],
  { nth = () => 1, mirrored = false }: { nth?: (position: number) => number; mirrored?: boolean } = {},
): Promise<void> {
  const seen = new Map<number, number>();
  media.wrap = (drive, position) =>
    interceptDrive(drive, async (operation, parameters, run) => {
      const isDocument = operation === "metadataBatch" && (parameters[0] as { key: string }[]).some(({ key }) => key === "pool");
      if (isDocument) {
        seen.set(position, (seen.get(position) ?? 0) + 1);
        if (seen.get(position)! >= nth(position) && !reached.includes(position)) return new Promise(() => undefined);
      }
      return run();
    });
  void openMemoryPool(media, { mirrored });
  await turns(60);
  media.wrap = (drive) => drive;
}

/** The process is started again: nothing but the media knows of an epoch. */
function restartProcess(media: MemoryPoolMedia): void {
  for (const drive of media.drives) if (drive !== undefined) drive.fence = new DriveFence(drive.identity.name);
}

describe("pool: starts that are cut off", () => {
  test("one that a single drive heard of, which is away from the next: the pool opens without it, and with it again", async () => {
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media);
    await first.service.createVolume(0, volumeDocument(1, 64 * 4096));
    first.kill();
    // The journal is claimed, and no drive hears of it; then one does.
    await cutOff(media, []);
    await cutOff(media, [0]);
    const [drive] = media.drives;
    media.drives[0] = undefined;
    restartProcess(media);
    const without = await openMemoryPool(media);
    await writeBytes(without, 1, 0, new Uint8Array(4096).fill(7), true);
    await without.service.pool(0).destageAll();
    without.kill();
    media.drives[0] = drive;
    restartProcess(media);
    const again = await openMemoryPool(media);
    // It has as many versions of the document as the others, and was not there.
    expect(again.events.filter(({ type }) => type === "drive.rebuilding")).toHaveLength(1);
    expect((await readBytes(again, 1, 0, 4096)).data.every((byte) => byte === 7)).toBe(true);
    again.kill();
  });

  test("any number of them leaves every drive trusted", async () => {
    const media = new MemoryPoolMedia();
    (await openMemoryPool(media)).kill();
    for (const reached of [[0, 1], [2], [0], [3, 1], [2]]) await cutOff(media, reached);
    const found = versions(media) as number[];
    expect(new Set(found).size).toBeGreaterThan(1);
    expect(Math.max(...found) - Math.min(...found)).toBe(1);
    const pool = await openMemoryPool(media);
    expect(pool.service.status()[0]!.drives.map(({ state }) => state)).toEqual(["online", "online", "online", "online"]);
    pool.kill();
  });

  test("one that was bringing drives level leaves them knowing what is known of the journal's copies", async () => {
    const media = new MemoryPoolMedia();
    const first = await openMemoryPool(media, { mirrored: true });
    await first.service.createVolume(0, volumeDocument(1, 64 * 4096));
    await writeBytes(first, 1, 0, new Uint8Array(4096).fill(7), true);
    first.kill();
    await cutOff(media, [2], { mirrored: true });
    // Those that are behind get what the first has, and none the next.
    await cutOff(media, [], { mirrored: true, nth: (position) => (position === 2 ? 1 : 2) });
    expect(new Set(versions(media)).size).toBe(1);
    media.journal = undefined;
    const pool = await openMemoryPool(media, { mirrored: true });
    expect((await readBytes(pool, 1, 0, 4096)).data.every((byte) => byte === 7)).toBe(true);
    pool.kill();
  });

  test("the first one too, while the pool is made", async () => {
    const media = new MemoryPoolMedia();
    await cutOff(media, [2]);
    expect(versions(media)).toEqual([undefined, undefined, 1, undefined]);
    await cutOff(media, [0, 2]);
    const pool = await openMemoryPool(media);
    expect(pool.service.status()[0]!.drives.map(({ state }) => state)).toEqual(["online", "online", "online", "online"]);
    pool.kill();
  });
});
