/** Results → the tables of docs/performance/growth.md: what stands between a part's two marks is written anew. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";

const whole = (value) => Math.round(value).toLocaleString("en-US");
const tenth = (value) => value.toFixed(1);
const percent = (value) => `${(value * 100).toFixed(1)} %`;
const kibibytes = (bytes) => whole(bytes / 1024);

/** Column heads, and what of a point stands below each. */
const COLUMNS = {
  volumes: [
    ["volumes", (p) => whole(p.volumes)],
    ["make / delete one, ms", (p) => `${tenth(p.createMilliseconds)} / ${tenth(p.deleteMilliseconds)}`],
    ["list, ms (KiB)", (p) => `${tenth(p.listMilliseconds)} (${kibibytes(p.listBytes)})`],
    ["/metrics, ms (KiB)", (p) => `${tenth(p.metricsMilliseconds)} (${kibibytes(p.metricsBytes)})`],
    ["/healthz, ms", (p) => tenth(p.healthMilliseconds)],
    ["LUNs, REPORT LUNS µs", (p) => `${p.lunsReported}, ${whole(p.reportLunsMicroseconds)}`],
    [
      "start after a stop / kill, s",
      (p) => `${tenth(p.cleanStartMilliseconds / 1000)} / ${tenth(p.killedStartMilliseconds / 1000)}`,
    ],
    ["at rest, of a core", (p) => percent(p.idleCpu)],
    ["memory, MiB", (p) => whole(p.memoryMebibytes)],
    ["CPU for a 4K read, µs", (p) => tenth(p.cpuMicrosecondsPerRead)],
  ],
  sessions: [
    ["sessions", (p) => whole(p.sessions)],
    ["all logged in, ms (CPU)", (p) => `${whole(p.loginSeconds * 1000)} (${whole(p.loginCpuSeconds * 1000)})`],
    ["at rest, of a core", (p) => percent(p.idleCpu)],
    ["memory, MiB", (p) => whole(p.memoryMebibytes)],
    ["4K reads/s, depth 32 in all", (p) => whole(p.readsPerSecond)],
    ["CPU for a read, µs", (p) => tenth(p.cpuMicrosecondsPerRead)],
  ],
  drives: [
    ["drives", (p) => `${p.drives}`],
    ["pools", (p) => `${p.pools} × (${p.dataDrives}+1)`],
    ["first start, s", (p) => tenth(p.firstStartMilliseconds / 1000)],
    ["start after a kill, s", (p) => tenth(p.killedStartMilliseconds / 1000)],
    ["at rest, of a core", (p) => percent(p.idleCpu)],
    ["memory, MiB", (p) => whole(p.memoryMebibytes)],
    ["/metrics, ms (KiB)", (p) => `${tenth(p.metricsMilliseconds)} (${kibibytes(p.metricsBytes)})`],
  ],
  map: [
    ["mapped, GiB", (p) => whole(p.mappedGibibytes)],
    ["on each of two drives, MiB", (p) => whole(p.driveMebibytes)],
    ["drives opened, ms", (p) => whole(p.openDrivesMilliseconds)],
    ["map opened, ms", (p) => tenth(p.loadMilliseconds)],
    ["a page that is not in memory, µs", (p) => whole(p.pageLoadMicroseconds)],
    ["memory after 2,000 pages, MiB (most)", (p) => `${tenth(p.mapMebibytes)} (${p.mapMebibytesMax})`],
  ],
  replay: [
    ["journal, MiB", (p) => whole(p.mebibytes)],
    ["blocks in a record", (p) => `${p.blocksPerRecord}`],
    ["replayed, MiB/s", (p) => whole(p.replayMiBPerSecond)],
    ["the file only read, MiB/s", (p) => whole(p.rawMiBPerSecond)],
  ],
};

function tableOf(part, points) {
  const columns = COLUMNS[part];
  const row = (cells) => `| ${cells.join(" | ")} |`;
  const rows = points.map((point) => row(columns.map(([, cell]) => cell(point))));
  return [row(columns.map(([head]) => head)), row(columns.map(() => "---:")), ...rows].join("\n");
}

export function writeReport(file, results) {
  if (!existsSync(file)) return;
  let text = readFileSync(file, "utf8");
  const put = (mark, content) => {
    const [begin, end] = [`<!-- ${mark} -->`, `<!-- /${mark} -->`];
    const [from, to] = [text.indexOf(begin), text.indexOf(end)];
    if (from < 0 || to < from) throw new Error(`${file} has no place for ${mark}`);
    text = `${text.slice(0, from + begin.length)}\n${content}\n${text.slice(to)}`;
  };
  for (const part of Object.keys(COLUMNS)) if (results[part] !== undefined) put(part, tableOf(part, results[part]));
  put("machine", results.machine);
  writeFileSync(file, text);
}
