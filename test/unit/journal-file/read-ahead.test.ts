import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ReadAhead } from "../../../drivers/journal-file/read-ahead.ts";

const MIB = 1024 * 1024;
const FILE_BYTES = 8 * MIB;

let folder: string;
let descriptor: number;
let ahead: ReadAhead;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "varray-read-ahead-"));
  const path = join(folder, "journal");
  writeFileSync(path, Buffer.alloc(FILE_BYTES, 1));
  descriptor = openSync(path, "r");
  ahead = new ReadAhead(descriptor, FILE_BYTES);
});

afterEach(async () => {
  await ahead.end();
  closeSync(descriptor);
  rmSync(folder, { recursive: true });
});

/** MiB that this process has read, from files and whatever else, while `work` ran and its reads ended. */
async function readBy(work: () => void): Promise<number> {
  const seen = (): number => Number(/rchar: (\d+)/.exec(readFileSync("/proc/self/io", "utf8"))![1]);
  const before = seen();
  work();
  await ahead.end();
  return Math.floor((seen() - before) / MIB);
}

test("two pieces are read ahead, and none of them twice", async () => {
  expect(await readBy(() => ahead.behind(0))).toBe(2);
  expect(await readBy(() => ahead.behind(MIB / 2))).toBe(1);
  expect(await readBy(() => ahead.behind(MIB))).toBe(0);
  // A second look at what was read, and on from there.
  expect(await readBy(() => ahead.behind(MIB / 4))).toBe(0);
  expect(await readBy(() => ahead.behind(2 * MIB))).toBe(1);
});

test("it begins anew where reading goes on elsewhere, and ends with the file", async () => {
  await readBy(() => ahead.behind(5 * MIB));
  expect(await readBy(() => ahead.behind(FILE_BYTES - MIB))).toBe(1);
  expect(await readBy(() => ahead.behind(FILE_BYTES))).toBe(0);
  expect(await readBy(() => ahead.behind(8192))).toBe(2);
});
