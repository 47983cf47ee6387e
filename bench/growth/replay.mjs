/**
 * Replay of a journal: the real reader and the real recovery into a real cache, from a file in the page cache, beside
 * plain reads of the same file. Records of one block (depth 1) and of 64 blocks (many commands of one turn).
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fillJournal, MiB, median, ReplayRig, readRaw } from "../recovery/rig.mjs";

export async function measureReplay({ sizes = [16, 64, 256], blocksPerRecord = [1, 64], times = 5 } = {}) {
  const rig = new ReplayRig(384 * MiB);
  const points = [];
  for (const mebibytes of sizes) {
    for (const blocks of blocksPerRecord) {
      const folder = mkdtempSync(join(tmpdir(), "varray-replay-"));
      try {
        const path = join(folder, "journal");
        await fillJournal(path, mebibytes * MiB, { blocks });
        readRaw(path);
        const rates = { replay: [], raw: [] };
        for (let time = 0; time < times; time++) {
          rates.replay.push((await rig.replay(path, { pagesKept: false })).gigabytesPerSecond);
          rates.raw.push(readRaw(path).gigabytesPerSecond);
        }
        points.push({
          mebibytes,
          blocksPerRecord: blocks,
          replayMiBPerSecond: (median(rates.replay) * 1e9) / MiB,
          rawMiBPerSecond: (median(rates.raw) * 1e9) / MiB,
        });
        process.stderr.write(`replay ${JSON.stringify(points.at(-1))}\n`);
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    }
  }
  return points;
}
