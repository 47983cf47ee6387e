/**
 * What a journal can take at best: groups of records written to a preallocated file by one `writevSync`, then one
 * fdatasync, as often as it goes. With 32 commands in flight each group is 32 records. A process of its own:
 *
 *   node dist/bench/raw/journal-file.js FILE SECONDS RECORD_BYTES RECORDS_PER_GROUP      → {"recordsPerSecond":…}
 */
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync, writevSync } from "node:fs";

const FILE_BYTES = 256 * 2 ** 20;
const CHUNK_BYTES = 4 * 2 ** 20;

const [path, seconds, recordBytes, recordsPerGroup] = [process.argv[2]!, ...process.argv.slice(3).map(Number)] as [
  string,
  number,
  number,
  number,
];
const file = openSync(path, "wx");
const zeros = Buffer.alloc(CHUNK_BYTES);
for (let at = 0; at < FILE_BYTES; at += CHUNK_BYTES) writeSync(file, zeros, 0, CHUNK_BYTES, at);
fsyncSync(file);

const groupBytes = recordBytes * recordsPerGroup;
const records = Array.from({ length: recordsPerGroup }, (_, n) => Buffer.alloc(recordBytes, n + 1));
let groups = 0;
const began = performance.now();
for (let at = 0; performance.now() - began < seconds * 1000; groups++) {
  writevSync(file, records, at);
  fdatasyncSync(file);
  at = at + 2 * groupBytes > FILE_BYTES ? 0 : at + groupBytes;
}
const recordsPerSecond = (groups * recordsPerGroup) / ((performance.now() - began) / 1000);
closeSync(file);
process.stdout.write(`${JSON.stringify({ recordsPerSecond })}\n`);
