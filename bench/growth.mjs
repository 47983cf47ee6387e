/**
 * `npm run bench:growth`: what start, memory and CPU cost as volumes, mapped capacity, sessions and drives grow.
 *
 *   node bench/growth.mjs [volumes] [sessions] [drives] [map] [replay] [--out FILE]
 *
 * Without names all of it, in about five minutes. Writes docs/performance/growth.json (parts that were not asked for stay
 * as they are), the tables of growth.md and the plots beside it. Needs libiscsi-dev and a C compiler.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { arch, cpus, release, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { ROOT } from "./growth/array.mjs";
import { measureDrives } from "./growth/drives.mjs";
import { measureMap } from "./growth/map.mjs";
import { writePlots } from "./growth/plots.mjs";
import { measureReplay } from "./growth/replay.mjs";
import { writeReport } from "./growth/report.mjs";
import { measureSessions } from "./growth/sessions.mjs";
import { measureVolumes } from "./growth/volumes.mjs";

const PARTS = {
  volumes: measureVolumes,
  sessions: measureSessions,
  drives: measureDrives,
  map: measureMap,
  replay: measureReplay,
};

const args = process.argv.slice(2);
const outAt = args.indexOf("--out");
const out = outAt >= 0 ? args.splice(outAt, 2)[1] : join(ROOT, "docs/performance/growth.json");
const unknown = args.find((name) => !Object.hasOwn(PARTS, name));
if (unknown !== undefined) throw new Error(`there is no part "${unknown}"; there are ${Object.keys(PARTS).join(", ")}`);

const results = existsSync(out) ? JSON.parse(readFileSync(out, "utf8")) : {};
for (const name of args.length > 0 ? args : Object.keys(PARTS)) {
  results[name] = await PARTS[name]();
  results.machine = `${cpus().length} × ${cpus()[0].model}, ${arch()}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release()}, Node ${process.versions.node}`;
  mkdirSync(dirname(out), { recursive: true });
  writeFileSync(out, `${JSON.stringify(results, undefined, 1)}\n`);
  writeReport(out.replace(/json$/, "md"), results);
  await writePlots(dirname(out), results);
}
