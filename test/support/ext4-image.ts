/** An ext4 image full of files, made by mkfs.ext4 from a folder: what a host would really write. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "./random.ts";
import { runToolBeside } from "./tools.ts";

/** Of the image; the rest is the file system's own, and free space. */
const FILLED_SHARE = 0.75;
const FILES_IN_FOLDER = 64;
const TEXT_SHARE = 0.3;

/** @returns the path of the image, in `folder` */
export async function makeExt4Image(folder: string, mebibytes: number, random: Random): Promise<string> {
  const content = join(folder, "content");
  const image = join(folder, "image.raw");
  let left = mebibytes * 2 ** 20 * FILLED_SHARE;
  for (let n = 0; left > 0; n++) {
    const where = join(content, `folder-${Math.floor(n / FILES_IN_FOLDER)}`);
    mkdirSync(where, { recursive: true });
    // From a few bytes to some MiB, small ones more often.
    const bytes = Math.floor(2 ** (random.next() * 18 + 4));
    writeFileSync(join(where, `file-${n}`), fileContent(n, bytes, random));
    left -= bytes;
  }
  const made = await runToolBeside("mkfs.ext4", ["-q", "-F", "-d", content, image, `${mebibytes}M`]);
  if (made.status !== 0) throw new Error(`mkfs.ext4 failed: ${made.output}`);
  rmSync(content, { recursive: true });
  return image;
}

function fileContent(number: number, bytes: number, random: Random): Buffer {
  if (random.chance(TEXT_SHARE)) return Buffer.alloc(bytes, `file ${number} says the same again and again\n`);
  const data = Buffer.alloc(bytes);
  for (let at = 0; at + 4 <= bytes; at += 4) data.writeUInt32LE(Math.floor(random.next() * 2 ** 32), at);
  return data;
}
