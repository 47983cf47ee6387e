/**
 * fsync of folders and of the files in them: what makes the birth and the removal of a zone durable.
 *
 * Blocking: for the drive thread only, which serves no socket.
 */
import { closeSync, fsyncSync, openSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Makes the entries of a folder durable (files that were created, renamed or removed in it). */
export function fsyncFolder(folder: string): void {
  const descriptor = openSync(folder, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Makes a flat folder durable: what its files hold, then its entries. LevelDB leaves its first MANIFEST unsynced. */
export function fsyncFolderWithFiles(folder: string): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.isFile()) fsyncFolder(join(folder, entry.name));
  }
  fsyncFolder(folder);
}
