/** Damage to what a stopped array left on disk. */
import { closeSync, openSync, readdirSync, readSync, statSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "./random.ts";

/** Files that hold strips: LevelDB's tables, and the logs of zones that it had no reason to write tables of. */
const STRIP_FILE = /\.(ldb|log)$/;

/** Flips bytes at random places of a drive's zones; returns how many. */
export function flipBytesInZones(driveFolder: string, random: Random, count: number): number {
  const files = readdirSync(join(driveFolder, "zones"), { recursive: true, encoding: "utf8" })
    .map((name) => join(driveFolder, "zones", name))
    .filter((path) => STRIP_FILE.test(path) && statSync(path).size > 0);
  const sizes = files.map((path) => statSync(path).size);
  const total = sizes.reduce((sum, size) => sum + size, 0);
  for (let n = 0; n < count; n++) {
    let at = Math.floor(random.next() * total);
    let index = 0;
    while (at >= sizes[index]!) {
      at -= sizes[index]!;
      index += 1;
    }
    flipByte(files[index]!, at);
  }
  return count;
}

function flipByte(path: string, position: number): void {
  const file = openSync(path, "r+");
  try {
    const byte = Buffer.alloc(1);
    readSync(file, byte, 0, 1, position);
    byte[0] = byte[0]! ^ 0xff;
    writeSync(file, byte, 0, 1, position);
  } finally {
    closeSync(file);
  }
}
