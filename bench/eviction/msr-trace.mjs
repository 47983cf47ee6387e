/**
 * Reads a trace of the MSR Cambridge format: CSV lines of
 * timestamp (100 ns), host name, disk number, Read|Write, offset (bytes), size (bytes), response time (100 ns).
 * One disk of one host is one volume; all disks in the file are laid end to end.
 */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import { KIND, Trace } from "./trace.mjs";

const BLOCK_BYTES = 4096;
/** Blocks of room for each disk: 1 TiB would be 2^28; the traces' largest disks are below this (256 GiB). */
const DISK_BLOCKS = 2 ** 26;
const DISKS_MAX = 8;

export async function readMsrTrace(file, { length }) {
  const trace = new Trace(length);
  const disks = new Map();
  for await (const line of createInterface({ input: createReadStream(file) })) {
    const [, host, disk, type, offset, size] = line.split(",");
    const kind = { read: KIND.read, write: KIND.write }[type?.toLowerCase()];
    const first = Math.floor(Number(offset) / BLOCK_BYTES);
    const last = Math.floor((Number(offset) + Number(size) - 1) / BLOCK_BYTES);
    if (kind === undefined || !(last >= first)) throw new Error(`not a line of an MSR trace: ${line}`);
    const name = `${host}.${disk}`;
    if (!disks.has(name)) disks.set(name, disks.size);
    const base = disks.get(name) * DISK_BLOCKS;
    if (disks.size > DISKS_MAX || last >= DISK_BLOCKS) throw new Error(`${name} is past what a trace can hold`);
    for (let block = first; block <= last; block++) trace.add(kind, base + block);
    if (trace.isFull) break;
  }
  return trace;
}
