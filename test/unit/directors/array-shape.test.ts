import { describe, expect, test } from "vitest";
import { memoryShape } from "../../../directors/array-shape.ts";
import type { DataFolder } from "../../../directors/data-folder.ts";
import { METADATA_VALUE_BYTES_MAX } from "../../../drivers/drive/drive-checks.ts";
import { layoutOf } from "../../../drivers/shared-memory/layout.ts";
import type { ConfigError } from "../../../src/config/config-error.ts";
import { loadConfig } from "../../../src/config/load.ts";
import { VOLUMES_MAX } from "../../../src/control/contract.ts";
import { LOST_RANGES_MAX, LostBlocks } from "../../../src/map/lost-blocks.ts";
import { encodeCheckpoint } from "../../../src/map/map-log.ts";
import { ZoneTable } from "../../../src/map/zone-table.ts";

const MiB = 2 ** 20;
const NEW_FOLDER = { knownDrive: () => undefined } as unknown as DataFolder;

/** `pools` pools, each of so many data drives. */
function poolsOf(pools: number, dataDrives: number): NodeJS.ProcessEnv {
  const names = Array.from({ length: pools }, (_, n) => String.fromCharCode(65 + n));
  return {
    VARRAY_ENGINES: "4",
    ...Object.fromEntries(names.map((name) => [`VARRAY_POOLS_${name}_DATA_DRIVES`, `${dataDrives}`])),
  };
}

describe("memory beside the frames, as pools and drives grow", () => {
  test.each([
    [8, 3, 8],
    [8, 15, 8],
    [16, 15, 8],
    [8, 2, 64],
    [8, 15, 64],
    [16, 15, 64],
    [9, 15, 33],
  ])(
    "%i pools of %i data drives with strips of %i blocks: what the configuration lets through can be had",
    (pools, data, strip) => {
      const env = { ...poolsOf(pools, data), VARRAY_DRIVE_STRIP_BLOCKS: `${strip}` };
      let accepted = 0;
      for (let frames = 64; frames <= 3968; frames += 61) {
        let config: ReturnType<typeof loadConfig>;
        try {
          config = loadConfig({ ...env, VARRAY_MEMORY_FRAMES: `${frames}MiB` });
        } catch (error) {
          expect((error as ConfigError).message).toContain("memory.frames");
          continue;
        }
        accepted = frames;
        expect(layoutOf(memoryShape(config, NEW_FOLDER)).totalBytes).toBeLessThanOrEqual(4096 * MiB);
      }
      // Nor is much held back: what is refused would not leave room for the rings.
      const { totalBytes } = layoutOf(memoryShape(loadConfig({ ...env, VARRAY_MEMORY_FRAMES: "64MiB" }), NEW_FOLDER));
      expect(accepted + totalBytes / MiB).toBeGreaterThan(Math.min(3968, 4096 - 200));
    },
  );
});

describe("zones, as drives grow", () => {
  test.each(["16GiB", "1TiB", "2TiB", "5TiB"])("a pool of drives of %s can write its checkpoint", (capacity) => {
    const config = loadConfig({ VARRAY_DRIVE_CAPACITY: capacity });
    const { capacityBytes, zoneBytes } = config.drive;
    const slots = Math.floor(capacityBytes / zoneBytes);
    const mapped = new Map(Array.from({ length: VOLUMES_MAX }, (_, n) => [n + 1, 1] as const));
    // As much lost as can be named, of every volume.
    const lost = new LostBlocks();
    const range = { volume: 1, firstBlock: 0, blockCount: 1 };
    lost.assign(mapped, new Array<typeof range>(LOST_RANGES_MAX).fill(range));
    const checkpoint = encodeCheckpoint({ logSequence: 1, zones: new ZoneTable(slots), mapped, lost });
    expect(checkpoint.byteLength).toBeLessThanOrEqual(METADATA_VALUE_BYTES_MAX);
  });
});
