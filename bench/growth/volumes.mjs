/** Growth with the number of volumes, each of them a LUN: making, deleting, listing, starting, memory, rest, and the reads of one of them. */
import { rmSync } from "node:fs";
import { MeasuredArray, median, runSessions, sessionsClient } from "./array.mjs";

const GiB = 2 ** 30;
/** So many of the last creations make the median. */
const LAST = 10;

export async function measureVolumes({ counts = [2, 10, 100, 1000], sizeBytes = 16 * GiB } = {}) {
  const client = sessionsClient();
  const array = await MeasuredArray.make({ VARRAY_MEMORY_FRAMES: "128MiB" });
  const points = [];
  try {
    await array.start();
    let made = 2;
    for (const count of counts) {
      const times = [];
      for (; made < count; made++) {
        const volume = { name: `grown-${made}`, pool: made % 2 === 0 ? "A" : "B", sizeBytes, lun: made };
        times.push((await array.api("/api/v1/volumes", "POST", volume)).milliseconds);
      }
      points.push(await measureAt(array, client, count, times.slice(-LAST)));
      process.stderr.write(`volumes ${JSON.stringify(points.at(-1))}\n`);
    }
  } finally {
    await array.remove();
    rmSync(client, { force: true });
  }
  return points;
}

async function measureAt(array, client, count, lastCreations) {
  // Made and deleted again: the next one beyond `count`.
  const creations = [...lastCreations];
  const deletions = [];
  for (let n = 0; n < 5; n++) {
    const volume = { name: `passing-${n}`, pool: "A", sizeBytes: GiB, lun: 1020 };
    creations.push((await array.api("/api/v1/volumes", "POST", volume)).milliseconds);
    deletions.push((await array.api(`/api/v1/volumes/passing-${n}?force=true`, "DELETE")).milliseconds);
  }
  const list = await array.apiTimes("/api/v1/volumes");
  const metrics = await array.apiTimes("/metrics");
  const health = await array.apiTimes("/healthz");
  await array.end("SIGTERM");
  const cleanStarts = [await array.start()];
  await array.end("SIGKILL");
  const killedStarts = [await array.start()];
  await array.touched();
  const idleCpu = await array.idleCpu();
  const memoryMebibytes = array.memoryMebibytes();
  const { cpuMicrosecondsPerRead, readsPerSecond, lunsReported, reportLunsMicroseconds } = await runSessions(client, array, {
    sessions: 1,
    seconds: 2,
    idle: 0,
  });
  return {
    volumes: count,
    createMilliseconds: median(creations),
    deleteMilliseconds: median(deletions),
    listMilliseconds: list.milliseconds,
    listBytes: list.bytes,
    metricsMilliseconds: metrics.milliseconds,
    metricsBytes: metrics.bytes,
    healthMilliseconds: health.milliseconds,
    cleanStartMilliseconds: median(cleanStarts),
    killedStartMilliseconds: median(killedStarts),
    idleCpu,
    memoryMebibytes,
    cpuMicrosecondsPerRead,
    readsPerSecond,
    lunsReported,
    reportLunsMicroseconds,
  };
}
