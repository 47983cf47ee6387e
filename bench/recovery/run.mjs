/**
 * How fast a full journal is read back, beside reading the same file raw in the same minute; at a restart (everything is
 * proved) and at a takeover (headers go first), from the page cache and from the disk.
 *
 *   npm run bench:recovery -- [--mebibytes 2048] [--rounds 3] [--folder FOLDER] [--loads] [--out FILE]
 *
 * Journals: records of 1, 8, 32 and 256 blocks in random places of 320 MiB, which is what the default memory lets be dirty;
 * with `--loads` also those that real hosts left in a started array (loads.mjs: minutes, needs libiscsi-dev and cc).
 * Medians; the CPU seconds beside the wall's show what another load on the machine took. Nothing is asserted.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { dropPages, fillJournal, MiB, median, ReplayRig, readRaw } from "./rig.mjs";

const { values } = parseArgs({
  options: {
    mebibytes: { type: "string", default: "2048" },
    rounds: { type: "string", default: "3" },
    blocks: { type: "string", default: "1,8,32,256" },
    folder: { type: "string", default: tmpdir() },
    loads: { type: "boolean", default: false },
    out: { type: "string" },
  },
});
const SPAN_BLOCKS = (320 * MiB) / 4096;
const rounds = Number(values.rounds);
const folder = mkdtempSync(join(values.folder, "varray-recovery-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));
const rig = new ReplayRig(512 * MiB);
const rows = [];

const COLUMNS = ["warm: raw", "restart", "share", "takeover", "share", "cold: raw", "restart", "share"];
process.stdout.write(`${"GB/s".padEnd(34)}${COLUMNS.map((name) => name.padStart(10)).join("")}\n`);
for (const blocks of values.blocks.split(",").filter(Boolean).map(Number)) {
  const path = join(folder, "journal");
  await fillJournal(path, Number(values.mebibytes) * MiB, { blocks, spanBlocks: SPAN_BLOCKS });
  await measure(`records of ${blocks}`, path);
}
if (values.loads) {
  const { journalsOfLoads } = await import("./loads.mjs");
  for await (const { name, path, restarted } of journalsOfLoads(folder, Number(values.mebibytes))) {
    await measure(name, path);
    process.stdout.write(`  the array itself, from the page cache: ${await restarted()}\n`);
  }
}
if (values.out !== undefined) writeFileSync(values.out, `${JSON.stringify(rows, undefined, 1)}\n`);
process.exit(0);

/** The kinds in turn, each beside a raw read. */
async function measure(name, path) {
  const seen = { raw: [], restart: [], takeover: [], coldRaw: [], coldRestart: [] };
  readRaw(path);
  for (let round = 0; round < rounds; round++) {
    seen.raw.push(readRaw(path));
    seen.restart.push(await rig.replay(path, { pagesKept: false }));
    seen.takeover.push(await rig.replay(path, { pagesKept: true }));
    dropPages(path);
    seen.coldRaw.push(readRaw(path));
    dropPages(path);
    seen.coldRestart.push(await rig.replay(path, { pagesKept: false }));
  }
  const rate = (kind) => median(seen[kind].map(({ gigabytesPerSecond }) => gigabytesPerSecond));
  const cells = [
    rate("raw"),
    rate("restart"),
    rate("restart") / rate("raw"),
    rate("takeover"),
    rate("takeover") / rate("raw"),
    rate("coldRaw"),
    rate("coldRestart"),
    rate("coldRestart") / rate("coldRaw"),
  ];
  process.stdout.write(`${name.padEnd(34)}${cells.map((cell) => cell.toFixed(2).padStart(10)).join("")}\n`);
  const { records, bytes, dirty } = seen.restart[0];
  const told = (kind) => {
    const milliseconds = median(seen[kind].map((one) => one.milliseconds));
    const cpu = median(seen[kind].map((one) => one.cpuMilliseconds));
    return `${kind} ${milliseconds.toFixed(0)} (CPU ${cpu.toFixed(0)})`;
  };
  const turnOf = (kind) => Math.max(...seen[kind].map(({ longestTurn }) => longestTurn)).toFixed(0);
  const blocksEach = (bytes / records / 4096).toFixed(1);
  process.stdout.write(
    `  ${records} records of ${blocksEach} blocks, ${dirty} blocks dirty; ms: ${Object.keys(seen).map(told).join(", ")}; ` +
      `longest turn: restart ${turnOf("restart")}, takeover ${turnOf("takeover")}; load ${loadavg()[0].toFixed(1)}\n`,
  );
  rows.push({ name, records, bytes, dirty, seen, load: loadavg()[0] });
}
