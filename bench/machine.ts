/** What was measured on, in general words: never a host's name, an address or a path. */
import { execFileSync } from "node:child_process";
import { readFileSync, statfsSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, totalmem } from "node:os";
import { ROOT } from "./array-under-test.ts";

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly isVirtual: boolean;
  readonly memoryGibibytes: number;
  readonly kernel: string;
  readonly filesystem: string;
  readonly node: string;
  readonly v8: string;
}

export function describeMachine(dataFolder: string): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    isVirtual: /^flags\s.*\bhypervisor\b/m.test(readFileSync("/proc/cpuinfo", "utf8")),
    memoryGibibytes: Math.round(totalmem() / 2 ** 30),
    kernel: `Linux ${release().split(".").slice(0, 2).join(".")}`,
    filesystem: FILESYSTEMS[statfsSync(dataFolder).type] ?? "another file system",
    node: process.versions.node,
    v8: process.versions.v8,
  };
}

/** Magic numbers, statfs(2). */
const FILESYSTEMS: Readonly<Record<number, string>> = {
  61267: "ext4",
  1481003842: "XFS",
  2435016766: "Btrfs",
  16914836: "tmpfs",
  2035054128: "overlayfs",
  801189825: "ZFS",
};

/** One line for people. */
export function machineLine(machine: Machine): string {
  const cores = `${machine.cores} ${machine.isVirtual ? "virtual " : ""}cores (${machine.cpu})`;
  return `${cores}, ${machine.memoryGibibytes} GiB, ${machine.kernel}, ${machine.filesystem}, Node ${machine.node}`;
}

export interface Commit {
  readonly id: string;
  /** Something in the tree was not committed. */
  readonly isChanged: boolean;
}

export function describeCommit(): Commit {
  const git = (...args: string[]) =>
    execFileSync("git", args, { cwd: ROOT, encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
  try {
    return { id: git("rev-parse", "--short=10", "HEAD").trim(), isChanged: git("status", "--porcelain", "-uno").trim() !== "" };
  } catch {
    return { id: "unknown", isChanged: true };
  }
}

/** Load average of the last minute: what else the machine did. */
export function machineLoad(): number {
  return Math.round(loadavg()[0]! * 100) / 100;
}
