/**
 * A large journal record, written where the data is or by one of libuv's threads: what its owner pays, and when it is
 * there. The payload has just been copied by this thread, as a host's data has. (docs/decisions/0012)
 */
import { closeSync, mkdtempSync, openSync, rmSync, writev, writevSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createJournalFile } from "../../dist/drivers/journal-file/create-journal-file.js";
import { makeMemory } from "./memory.mjs";

const KIB = 1024;
const SIZES_KIB = [64, 256, 1024];
const FILE_BYTES = 64 << 20;
const FRAMES = 1024;

export function cases() {
  const global = makeMemory({ frameCount: FRAMES });
  const folder = mkdtempSync(join(tmpdir(), "varray-micro-"));
  const path = join(folder, "journal");
  createJournalFile(path, FILE_BYTES);
  const file = openSync(path, "r+");
  let position = 0;

  /** The record that comes next, behind the last one. */
  const next = (bytes) => {
    const from = global.layout.frames;
    global.kernels.copy(from + bytes, from, bytes);
    position = position + 2 * bytes > FILE_BYTES ? 0 : position + bytes;
    return [global.view(from + bytes, bytes)];
  };
  const onTheSpot = (bytes) => () => {
    const buffers = next(bytes);
    const began = performance.now();
    writevSync(file, buffers, position);
    return { overriddenDuration: performance.now() - began };
  };
  /** The thread sleeps until the end. */
  const aside = (bytes, part) => async () => {
    const buffers = next(bytes);
    const began = performance.now();
    let called = 0;
    await new Promise((resolve, reject) => {
      writev(file, buffers, position, (error) => (error === null ? resolve() : reject(error)));
      called = performance.now();
    });
    return { overriddenDuration: (part === "call" ? called : performance.now()) - began };
  };
  const all = SIZES_KIB.flatMap((kib) => [
    { name: `journal write on the spot, KiB: ${kib}`, batch: 1, bytes: kib * KIB, run: onTheSpot(kib * KIB) },
    { name: `journal write aside, the call, KiB: ${kib}`, batch: 1, run: aside(kib * KIB, "call") },
    { name: `journal write aside, to its end, KiB: ${kib}`, batch: 1, run: aside(kib * KIB, "end") },
  ]);
  const close = () => {
    closeSync(file);
    rmSync(folder, { recursive: true, force: true });
  };
  return Object.assign(all, { close });
}
