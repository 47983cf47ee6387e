/** What the benchmark needs from the machine: told at once and in whole, with what to install. */
import { spawnSync } from "node:child_process";
import { statfsSync } from "node:fs";

const TMPFS_MAGIC = 0x01021994;
/** Two backing files of 1 GiB. */
const TMPFS_BYTES_NEEDED = 2.1 * 2 ** 30;
export const MEMORY_FOLDER = "/dev/shm";

/** What is missing, in sentences; empty where all is there. */
export function missingPrerequisites(): string[] {
  const missing: string[] = [];
  const packages: string[] = [];
  if (process.platform !== "linux") return ["The benchmark reads /proc and starts tgt: it runs on Linux only."];
  if (process.getuid?.() !== 0) missing.push("Run it as root: tgtd takes nobody else.");
  if (!isOnPath("tgtd") || !isOnPath("tgtadm")) packages.push("tgt");
  if (!isOnPath(process.env.CC ?? "cc")) packages.push("gcc", "libc6-dev");
  if (!hasHeader("iscsi/iscsi.h")) packages.push("libiscsi-dev");
  if (packages.length > 0) missing.push(`Install what is missing, on Debian: apt-get install ${packages.join(" ")}`);
  const { type, bavail, bsize } = statfsSync(MEMORY_FOLDER);
  if (type !== TMPFS_MAGIC)
    missing.push(`${MEMORY_FOLDER} is not tmpfs: the references would be slow, and the comparison false.`);
  else if (bavail * bsize < TMPFS_BYTES_NEEDED) missing.push(`${MEMORY_FOLDER} needs 2.1 GiB free.`);
  return missing;
}

function isOnPath(program: string): boolean {
  return spawnSync("sh", ["-c", 'command -v "$1"', "sh", program], { stdio: "ignore" }).status === 0;
}

function hasHeader(header: string): boolean {
  const compiler = process.env.CC ?? "cc";
  const { status, error } = spawnSync(compiler, ["-E", "-x", "c", "-", "-o", "/dev/null"], { input: `#include <${header}>\n` });
  return error === undefined ? status === 0 : true; // without a compiler nobody can tell: it is asked for anyway
}
