import { describe, expect, test } from "vitest";
import { dataRuns } from "../../../src/raid/data-runs.ts";
import { raidLevel } from "../../../src/raid/raid-levels.ts";

describe("dataRuns: strips of a drive without parity", () => {
  test("of RAID-6 are all its data strips, each once, and no parity", () => {
    for (const dataDrives of [2, 4, 14]) {
      const level = raidLevel({ level: 6, dataDrives });
      for (let position = 0; position < level.driveCount; position++) {
        for (const [firstStripe, count] of [
          [0, 32],
          [5, 11],
          [3, 1],
          [4, 2],
        ] as const) {
          const read = dataRuns(level, position, firstStripe, count).flatMap((run) =>
            Array.from({ length: run.count }, (_, n) => run.first + n),
          );
          const data = Array.from({ length: count }, (_, n) => n).filter((n) => level.role(firstStripe + n, position) >= 0);
          expect(read).toEqual(data);
        }
      }
    }
  });

  test("of other levels are one run", () => {
    expect(dataRuns(raidLevel({ level: 5, dataDrives: 3 }), 0, 7, 11)).toEqual([{ first: 0, count: 11 }]);
    expect(dataRuns(raidLevel({ level: 10, dataDrives: 3 }), 5, 7, 11)).toEqual([{ first: 0, count: 11 }]);
  });
});
