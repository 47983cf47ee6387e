/** Growth with the number of drives: the first start, restarts, memory, rest. */
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
    const names = ["A", "B", "C", "D"].slice(0, pools);
    // "1A" owns A and C, "1B" the others. With one pool the second of the defaults would be there too.
    const env = Object.fromEntries(names.map((name) => [`VARRAY_POOLS_${name}_DATA_DRIVES`, `${dataDrives}`]));
    const array = await MeasuredArray.make({ VARRAY_MEMORY_FRAMES: "128MiB", VARRAY_JOURNAL_BYTES: "64MiB", ...env });
    if (pools === 1) array.onePool = true;
    try {
      points.push(await measureShape(array, pools, dataDrives));
    } finally {
      await array.remove();
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
