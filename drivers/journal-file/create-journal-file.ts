/**
 * Makes a journal's file: every byte written, so that no append ever waits for the file system to find space.
 *
 * Runs on: main, at the first start of a pool (blocking). The file is made beside its place and renamed, so that a crash
 * leaves it whole or not at all; zeros rather than fallocate, as unwritten extents cost a metadata write at first use.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { JournalFileError } from "./journal-file.ts";
import { journalFileErrorOf } from "./journal-file-errors.ts";

/**
 * The page cache keeps what was written at once as one folio, and ext4 goes through all blocks of a folio at each write into it: a
 * record of 4 KiB takes 1.2 µs into folios of 64 KiB, 1.9 into those of 1 MiB, 2.3 into single pages (docs/performance/owner-path.md).
 */
const CHUNK_BYTES = 64 * 1024;

/** @throws JournalFileError "foreign" when there is a file already, "noSpace", "io" */
export function createJournalFile(path: string, bytes: number): void {
  if (!Number.isSafeInteger(bytes) || bytes < 1) throw new RangeError(`journal file of ${bytes} bytes`);
  if (existsSync(path)) throw new JournalFileError("foreign", `journal file ${path} is there already`);
  const unborn = `${path}.new`;
  try {
    writeZeros(unborn, bytes);
    renameSync(unborn, path);
    syncFolder(dirname(path));
  } catch (error) {
    rmSync(unborn, { force: true });
    throw journalFileErrorOf(error, `create journal file ${path}`);
  }
}

function writeZeros(path: string, bytes: number): void {
  const zeros = Buffer.alloc(Math.min(CHUNK_BYTES, bytes));
  const descriptor = openSync(path, "w", 0o600);
  try {
    let at = 0;
    while (at < bytes) {
      const written = writeSync(descriptor, zeros, 0, Math.min(zeros.byteLength, bytes - at), at);
      if (written === 0) throw new JournalFileError("io", `journal file ${path}: nothing was written at ${at}`);
      at += written;
    }
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

function syncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
