/**
 * One measurement: a load of the client against a target, reduced to what results keep: rates, latencies, and what the
 * target's threads used for each operation.
 */
import type { LoadResult, ThreadUse } from "./load-client.ts";
import { median, sum } from "./statistics.ts";

/** What the threads of one role used together, for each operation. */
export interface RoleUse {
  readonly role: string;
  readonly cpuMicroseconds: number;
  /** read(2), write(2) and their kin; a wake-up's epoll_wait is not among them. */
  readonly calls: number;
  /** What those calls moved through the kernel. */
  readonly callBytes: number;
  /** Times that the thread slept and was woken, or nearly: voluntary context switches. */
  readonly sleeps: number;
}

export interface Measurement {
  readonly ops: number;
  readonly refused: number;
  readonly iops: number;
  readonly bytesPerSecond: number;
  readonly p50Microseconds: number;
  readonly p99Microseconds: number;
  readonly p999Microseconds: number;
  readonly maxMicroseconds: number;
  /** Of all threads of the target, for each operation. */
  readonly cpuMicroseconds: number;
  /** Of one core. Above 0.95 the client is the limit, not the target. */
  readonly clientCpuShare: number;
  /** CPU that neither the client nor the target used, of one core. Above 0.15 the figure is not to be trusted. */
  readonly otherCpuShare: number;
  readonly roles: readonly RoleUse[];
  /** Bytes that went to the block layer for each operation. */
  readonly diskWriteBytes: number;
}

/** Roles of kernel threads, by number; those that are not in it are "others". */
export type ThreadRoles = ReadonlyMap<number, string>;

export const OTHER_THREADS = "others";

export function measurementOf(result: LoadResult, roles: ThreadRoles = new Map()): Measurement {
  const targetCpuSeconds = sum(result.threads.map(({ cpuSeconds }) => cpuSeconds));
  const otherCpuSeconds = result.machineCpuSeconds - result.clientCpuSeconds - targetCpuSeconds;
  return {
    ops: result.ops,
    refused: result.refused,
    iops: result.iops,
    bytesPerSecond: result.bytesPerSecond,
    p50Microseconds: result.p50Microseconds,
    p99Microseconds: result.p99Microseconds,
    p999Microseconds: result.p999Microseconds,
    maxMicroseconds: result.maxMicroseconds,
    cpuMicroseconds: (targetCpuSeconds / result.ops) * 1e6,
    clientCpuShare: result.clientCpuSeconds / result.seconds,
    otherCpuShare: Math.max(0, otherCpuSeconds / result.seconds),
    roles: rolesOf(result.threads, roles, result.ops),
    diskWriteBytes: sum(result.processes.map(({ diskWriteBytes }) => diskWriteBytes)) / result.ops,
  };
}

function rolesOf(threads: readonly ThreadUse[], roles: ThreadRoles, ops: number): RoleUse[] {
  const groups = groupByRole(threads, roles);
  const uses = [...groups].map(([role, members]) => ({
    role,
    cpuMicroseconds: (sum(members.map(({ cpuSeconds }) => cpuSeconds)) / ops) * 1e6,
    calls: sum(members.map(({ readCalls, writeCalls }) => readCalls + writeCalls)) / ops,
    callBytes: sum(members.map(({ readBytes, writeBytes }) => readBytes + writeBytes)) / ops,
    sleeps: sum(members.map(({ voluntarySwitches }) => voluntarySwitches)) / ops,
  }));
  return uses.sort((a, b) => b.cpuMicroseconds - a.cpuMicroseconds);
}

function groupByRole(threads: readonly ThreadUse[], roles: ThreadRoles): Map<string, ThreadUse[]> {
  const groups = new Map<string, ThreadUse[]>();
  for (const thread of threads) {
    const role = roles.get(thread.tid) ?? OTHER_THREADS;
    const members = groups.get(role);
    if (members === undefined) groups.set(role, [thread]);
    else members.push(thread);
  }
  return groups;
}

/** The middle of several measurements of one thing: each figure's median by itself. */
export function medianOf(measurements: readonly Measurement[], pick: (measurement: Measurement) => number): number {
  return median(measurements.map(pick));
}

/** Median of what one role used; NaN where it never appears. */
export function roleMedian(measurements: readonly Measurement[], role: string, pick: (use: RoleUse) => number): number {
  return median(
    measurements.map(({ roles }) => {
      const use = roles.find((one) => one.role === role);
      return use === undefined ? Number.NaN : pick(use);
    }),
  );
}
