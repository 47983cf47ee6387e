/**
 * Random overwrites that never end in a pool that is more than half full: what destage and compaction give in the long
 * run, beside what the drives take at best (raw/zone-fill.ts). By itself, because it takes its own array and its time:
 *
 *   npm run build && npx tsc -p tsconfig.bench.json && node dist/bench/sustained.js [--seconds 600] [--span 7168]
 *     [--capacity 4GiB] [--window 30] [--depth 32] [--data FOLDER] [--out FILE]
 *
 * Windows show whether anything drifts: rate, latencies, write amplification, memory.
 */
import { writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { parseArgs } from "node:util";
import { ArrayUnderTest } from "./array-under-test.ts";
import { DATA_SHARE, MEMORY_GOAL } from "./goals.ts";
import { LoadClient, type LoadSpec } from "./load-client.ts";
import { describeCommit, describeMachine, machineLine } from "./machine.ts";
import { MemoryWatch } from "./memory-watch.ts";
import type { Scrape } from "./prometheus-text.ts";
import { rawZoneFill } from "./raw/run-raw.ts";
import { temporaryFolder } from "./started.ts";
import { median } from "./statistics.ts";

const MIB = 2 ** 20;
const BLOCK_BYTES = 4096;
const RAW_SECONDS = 8;
const FILL: LoadSpec = { mode: "seqwrite", bytes: 1 << 20, depth: 4 };
/** The goals: of the raw fill rate less parity, and for the slowest I/O. */
const SHARE_GOAL = 0.4;
const P999_MILLISECONDS_MAX = 100;
const WORST_MILLISECONDS_MAX = 1000;

interface Window {
  readonly atSeconds: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly p99Milliseconds: number;
  readonly p999Milliseconds: number;
  readonly worstMilliseconds: number;
  /** Blocks that destage, and destage and compaction, wrote for each block that hosts wrote. */
  readonly destagedPerWritten: number;
  readonly movedPerDestaged: number;
  readonly diskBytesPerByte: number;
  readonly dirtyShare: number;
  readonly journalShare: number;
  readonly freeZones: number;
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "600" },
    span: { type: "string", default: "7168" },
    capacity: { type: "string", default: "4GiB" },
    window: { type: "string", default: "30" },
    depth: { type: "string", default: "32" },
    data: { type: "string", default: tmpdir() },
    out: { type: "string" },
  },
});
const say = (line: string) => process.stdout.write(`${line}\n`);
const spanMebibytes = Number(values.span);
const spec: LoadSpec = { mode: "randwrite", bytes: BLOCK_BYTES, depth: Number(values.depth) };

const client = await LoadClient.compile(temporaryFolder(tmpdir()));
say(`varray ${describeCommit().id} on ${machineLine(describeMachine(values.data))}`);
const rawFill = [await rawZoneFill(values.data, RAW_SECONDS)];
const array = await ArrayUnderTest.start(values.data, { VARRAY_DRIVE_CAPACITY: values.capacity });
const memory = new MemoryWatch(array);
const load = { urls: [array.url(0)], spanMebibytes, pids: [array.pid] };
const filled = await client.run(FILL, { ...load, seconds: 0, ops: Math.ceil((spanMebibytes * MIB) / FILL.bytes) });
say(`filled ${spanMebibytes} MiB at ${megabytes(filled.bytesPerSecond)} MB/s`);
say("  at s |   IOPS   MB/s |   p99 p99.9  worst ms | destaged moved disk | dirty journal free zones");

const windows: Window[] = [];
const windowSeconds = Number(values.window);
for (let at = 0; at < Number(values.seconds); at += windowSeconds) {
  const before = await array.scrape();
  const result = await client.run(spec, { ...load, seconds: windowSeconds, warmSeconds: 0 });
  const after = await array.scrape();
  const gained = (name: string) => poolA(after, name) - poolA(before, name);
  const window: Window = {
    atSeconds: at + windowSeconds,
    iops: result.iops,
    bytesPerSecond: result.bytesPerSecond,
    p99Milliseconds: result.p99Microseconds / 1000,
    p999Milliseconds: result.p999Microseconds / 1000,
    worstMilliseconds: result.maxMicroseconds / 1000,
    destagedPerWritten: gained("varray_destaged_blocks_total") / gained("varray_pool_written_blocks_total"),
    movedPerDestaged: gained("varray_compaction_blocks_total") / gained("varray_destaged_blocks_total"),
    diskBytesPerByte: (result.processes[0]?.diskWriteBytes ?? Number.NaN) / (result.ops * BLOCK_BYTES),
    dirtyShare: poolA(after, "varray_write_pending_blocks") / poolA(after, "varray_write_pending_limit_blocks"),
    journalShare: poolA(after, "varray_journal_live_bytes") / poolA(after, "varray_journal_capacity_bytes"),
    freeZones: poolA(after, "varray_pool_zones_free"),
  };
  windows.push(window);
  sayWindow(window);
}
const memoryResults = await memory.end();
await array.stop();
rawFill.push(await rawZoneFill(values.data, RAW_SECONDS));

const half = windows.slice(Math.floor(windows.length / 2));
const share = median(half.map(({ bytesPerSecond }) => bytesPerSecond)) / (median(rawFill) * DATA_SHARE);
const p999 = Math.max(...windows.map(({ p999Milliseconds }) => p999Milliseconds));
const worst = Math.max(...windows.map(({ worstMilliseconds }) => worstMilliseconds));
const { framesBytes, drives, peakBytes } = memoryResults;
const memoryMax = framesBytes + MEMORY_GOAL.besidesBytes + drives * MEMORY_GOAL.perDriveBytes;
say(`raw zone fill ${rawFill.map(megabytes).join(" and ")} MB/s, of four drives, parity included`);
sayVerdict("of the raw fill rate less parity", share.toFixed(2), `at least ${SHARE_GOAL}`, share >= SHARE_GOAL);
sayVerdict("p99.9 of the worst window, ms", p999.toFixed(1), `below ${P999_MILLISECONDS_MAX}`, p999 < P999_MILLISECONDS_MAX);
sayVerdict("worst I/O, ms", worst.toFixed(0), `at most ${WORST_MILLISECONDS_MAX}`, worst <= WORST_MILLISECONDS_MAX);
sayVerdict("peak memory, MiB", mebibytes(peakBytes), `at most ${mebibytes(memoryMax)}`, peakBytes <= memoryMax);
const quarters = [0.25, 0.5, 0.75, 1].map((end) => {
  const part = memoryResults.course.filter(([at]) => at <= end * (memoryResults.course.at(-1)?.[0] ?? 0));
  return mebibytes(Math.max(...part.slice(Math.floor(part.length * (1 - 0.25 / end))).map(([, bytes]) => bytes)));
});
say(`memory by quarters of the run, MiB at most: ${quarters.join(" ")}`);
if (values.out !== undefined)
  writeFileSync(values.out, `${JSON.stringify({ rawFill, windows, memory: memoryResults, share }, undefined, 1)}\n`);

function poolA(scrape: Scrape, name: string): number {
  return scrape.get(`${name}{pool="A"}`) ?? Number.NaN;
}

function sayWindow(window: Window): void {
  const columns = [
    `${window.atSeconds}`.padStart(6),
    "|",
    window.iops.toFixed(0).padStart(6),
    megabytes(window.bytesPerSecond).padStart(6),
    "|",
    window.p99Milliseconds.toFixed(1).padStart(5),
    window.p999Milliseconds.toFixed(1).padStart(5),
    window.worstMilliseconds.toFixed(0).padStart(6),
    "   |",
    window.destagedPerWritten.toFixed(2).padStart(8),
    window.movedPerDestaged.toFixed(2).padStart(5),
    window.diskBytesPerByte.toFixed(1).padStart(4),
    "|",
    `${(window.dirtyShare * 100).toFixed(0)} %`.padStart(5),
    `${(window.journalShare * 100).toFixed(0)} %`.padStart(6),
    `${window.freeZones}`.padStart(6),
  ];
  say(columns.join(" "));
}

function sayVerdict(what: string, value: string, goal: string, isMet: boolean): void {
  say(`${isMet ? "met   " : "MISSED"} ${what}: ${value} (${goal})`);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(0);
}

function mebibytes(bytes: number): string {
  return (bytes / MIB).toFixed(0);
}
