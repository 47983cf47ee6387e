/** Growth with the number of sessions: a login storm, memory, rest, and reads by all of them. */
import { rmSync } from "node:fs";
import { MeasuredArray, runSessions, sessionsClient } from "./array.mjs";

export async function measureSessions({ counts = [1, 16, 64, 256], seconds = 3 } = {}) {
  const client = sessionsClient();
  const array = await MeasuredArray.make({ VARRAY_MEMORY_FRAMES: "128MiB" });
  const points = [];
  try {
    await array.start();
    await array.touched();
    for (const sessions of counts) {
      const point = await runSessions(client, array, { sessions, seconds }, async () => ({
        memoryMebibytes: array.memoryMebibytes(),
      }));
      points.push(point);
      process.stderr.write(`sessions ${JSON.stringify(point)}\n`);
    }
  } finally {
    await array.remove();
    rmSync(client, { force: true });
  }
  return points;
}
