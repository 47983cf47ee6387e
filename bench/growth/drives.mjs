/** Growth with the number of drives: the first start, restarts, memory, rest. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MeasuredArray, median } from "./array.mjs";

/** Pools, and data drives of each. */
const SHAPES = [
  { pools: 1, dataDrives: 3 },
  { pools: 2, dataDrives: 3 },
  { pools: 1, dataDrives: 15 },
  { pools: 4, dataDrives: 7 },
  { pools: 4, dataDrives: 15 },
];

export async function measureDrives({ shapes = SHAPES } = {}) {
  const points = [];
  for (const { pools, dataDrives } of shapes) {
    // A file, and not variables: its pools take the place of the two that are there by default.
    const settings = mkdtempSync(join(tmpdir(), "varray-growth-settings-"));
    const file = join(settings, "varray.yaml");
    const names = ["A", "B", "C", "D"].slice(0, pools);
    writeFileSync(file, `pools:\n${names.map((name) => `  ${name}:\n    dataDrives: ${dataDrives}\n`).join("")}`);
    const array = await MeasuredArray.make({
      VARRAY_CONFIG: file,
      VARRAY_MEMORY_FRAMES: "128MiB",
      VARRAY_JOURNAL_BYTES: "64MiB",
    });
    try {
      points.push(await measureShape(array, pools, dataDrives));
    } finally {
      await array.remove();
      rmSync(settings, { recursive: true, force: true });
    }
    process.stderr.write(`drives ${JSON.stringify(points.at(-1))}\n`);
  }
  return points;
}

async function measureShape(array, pools, dataDrives) {
  const firstStartMilliseconds = await array.start();
  await array.touched();
  const idleCpu = await array.idleCpu();
  const memoryMebibytes = array.memoryMebibytes();
  const metrics = await array.apiTimes("/metrics");
  const starts = [];
  for (let n = 0; n < 3; n++) {
    await array.end("SIGKILL");
    starts.push(await array.start());
  }
  const { drives } = JSON.parse((await array.api("/api/v1/drives")).text);
  return {
    drives: drives.length,
    pools,
    dataDrives,
    firstStartMilliseconds,
    killedStartMilliseconds: median(starts),
    idleCpu,
    memoryMebibytes,
    metricsMilliseconds: metrics.milliseconds,
    metricsBytes: metrics.bytes,
  };
}
