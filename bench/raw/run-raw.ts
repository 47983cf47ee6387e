/** Runs one of the programs of this folder in a process and a folder of its own, and returns what it printed. */
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT } from "../array-under-test.ts";
import { removeFolder, run, temporaryFolder } from "../started.ts";

const MILLISECONDS_MAX = 120_000;

/** Bytes a second of four drives together. */
export async function rawZoneFill(dataFolder: string, seconds: number): Promise<number> {
  const { bytesPerSecond } = await raw("zone-fill", dataFolder, "drives", `${seconds}`);
  return bytesPerSecond!;
}

/** 4 KiB records a second, made durable in groups of 32. */
export async function rawJournalRate(dataFolder: string, seconds: number): Promise<number> {
  const { recordsPerSecond } = await raw("journal-file", dataFolder, "journal", `${seconds}`, "4096", "32");
  return recordsPerSecond!;
}

/** Bytes a second: of one drive copied to another, and of four read at once. */
export async function rawZoneCopy(
  dataFolder: string,
  mebibytesPerDrive: number,
): Promise<{ readonly copyBytesPerSecond: number; readonly readBytesPerSecond: number }> {
  const { copyBytesPerSecond, readBytesPerSecond } = await raw("zone-copy", dataFolder, "drives", `${mebibytesPerDrive}`);
  return { copyBytesPerSecond: copyBytesPerSecond!, readBytesPerSecond: readBytesPerSecond! };
}

async function raw(program: string, dataFolder: string, place: string, ...args: string[]): Promise<Record<string, number>> {
  mkdirSync(dataFolder, { recursive: true });
  const folder = temporaryFolder(dataFolder);
  const file = join(ROOT, "dist/bench/raw", `${program}.js`);
  const { status, stdout, stderr } = await run(process.execPath, [file, join(folder, place), ...args], {
    env: { ...process.env, UV_THREADPOOL_SIZE: "16" },
    millisecondsMax: MILLISECONDS_MAX,
  });
  removeFolder(folder);
  if (status !== 0) throw new Error(`${program}: ${stderr.trim()}`);
  return JSON.parse(stdout) as Record<string, number>;
}
