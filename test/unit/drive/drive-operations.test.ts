import { describe, expect, test } from "vitest";
import type { LocalDrive } from "../../../drivers/drive/drive.ts";
import { runDriveOperation } from "../../../drivers/drive/drive-operations.ts";
import { DRIVE_OPERATION, REQUEST_WORD } from "../../../drivers/drive/drive-slots.ts";
import { SLOT_WORDS } from "../../../drivers/shared-memory/layout.ts";
import { levelFixture, TEST_GEOMETRY } from "../../support/drive-fixtures.ts";

const { stripBytes } = TEST_GEOMETRY;

describe("an operation that was asked of a thread that died", () => {
  test("counts as done when it is, and is done when it is not; asked for once, it is refused where it was done", async () => {
    const fixture = await levelFixture();
    const { global, scratch } = fixture;
    const drive = fixture.attach() as LocalDrive;
    await drive.open(1);
    const run = async (operation: number, repeated: boolean, firstStrip = 0, count = 0) => {
      const words = new Int32Array(SLOT_WORDS);
      const fields = {
        operation,
        zone: 1,
        firstStrip,
        count,
        address: scratch,
        strideBytes: stripBytes,
        repeated: repeated ? 1 : 0,
      };
      for (const [name, value] of Object.entries(fields)) words[REQUEST_WORD[name as keyof typeof REQUEST_WORD]] = value;
      return runDriveOperation(drive, words, global, 0).then(
        () => "done",
        (error) => error.kind,
      );
    };
    const { createZone, writeStrips } = DRIVE_OPERATION;
    expect([await run(createZone, true), await run(createZone, true), await run(createZone, false)]).toEqual([
      "done",
      "done",
      "invalid",
    ]);
    global.u8.fill(7, scratch, scratch + 3 * stripBytes);
    expect(await run(writeStrips, true, 0, 3)).toBe("done");
    expect(await run(writeStrips, true, 0, 3)).toBe("done");
    expect(await run(writeStrips, false, 0, 3)).toBe("invalid");
    // Part of it, or other bytes, is not it.
    expect(await run(writeStrips, true, 2, 3)).toBe("invalid");
    global.u8[scratch + stripBytes] = 8;
    expect(await run(writeStrips, true, 0, 3)).toBe("invalid");
    await fixture.dispose();
  });
});
