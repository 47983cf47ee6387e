/**
 * What the array's process holds under load: frames, and a bounded amount beside them, whoever reads or does not read.
 *
 * RssAnon + RssShmem, at most frames + 150 MiB + 16 MiB a drive. The load is 64 sessions of queue depth 32, the default
 * configuration otherwise. VARRAY_MEMORY_SECONDS makes it longer.
 */
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type RunningArray, startArray } from "../support/array.ts";
import { Initiator, read10 } from "../support/initiator.ts";
import { type MixedLoadResult, runMixedLoad } from "../support/mixed-load.ts";
import { PipelinedSession } from "../support/pipelined-session.ts";
import { MemorySampler, residentBytes } from "../support/process-memory.ts";
import { Random } from "../support/random.ts";

const MEBIBYTE = 2 ** 20;
const FRAMES_BYTES = 512 * MEBIBYTE;
/** Of the default configuration: four of each pool, and a spare of each. */
const DRIVES = 10;
const RESIDENT_BYTES_MAX = FRAMES_BYTES + 150 * MEBIBYTE + DRIVES * 16 * MEBIBYTE;
const SECONDS = Number(process.env.VARRAY_MEMORY_SECONDS ?? 20);
const SESSIONS = 64;
const QUEUE_DEPTH = 32;
/** Four times the frames in both LUNs together: reads miss, destage and compaction have work. */
const LUN_BYTES = 1024 * MEBIBYTE;
/** Between the third and the last quarter of the run: what a garbage collection's moment may make. */
const GROWTH_BYTES_MAX = 24 * MEBIBYTE;
const SLOW_READERS = 16;
const SEED = Number(process.env.VARRAY_MEMORY_SEED ?? 1);

function megabytes(bytes: number): number {
  return Math.round(bytes / MEBIBYTE);
}

describe("memory of the process", () => {
  let array: RunningArray;
  const sessions: PipelinedSession[] = [];

  beforeAll(async () => {
    array = await startArray({ env: { VARRAY_MEMORY_FRAMES: `${FRAMES_BYTES}`, VARRAY_JOURNAL_BYTES: "2GiB" } });
  });
  afterAll(async () => {
    for (const session of sessions) session.close();
    await array?.remove();
  });

  function load(session: PipelinedSession, index: number, isOver: () => boolean): Promise<MixedLoadResult> {
    return runMixedLoad({
      session,
      // Every pair of portal and LUN: half of all I/O crosses the channel.
      lun: Math.floor(index / 2) % 2,
      queueDepth: QUEUE_DEPTH,
      bytes: LUN_BYTES,
      writeShare: 0.5,
      random: new Random(SEED + index),
      isOver,
    });
  }

  async function open(index: number): Promise<PipelinedSession> {
    const port = array.portalPorts[index % 2]!;
    const session = await PipelinedSession.open({ port, targetName: array.targetName, solicited: index % 4 >= 2 });
    for (const lun of [0, 1]) await session.testUnitReady(lun);
    sessions.push(session);
    return session;
  }

  test(
    `${SESSIONS} sessions of queue depth ${QUEUE_DEPTH} stay within frames + 150 MiB + 16 MiB a drive, and it does not grow`,
    async () => {
      const idle = residentBytes(array.pid);
      const opened = [];
      for (let index = 0; index < SESSIONS; index += 1) opened.push(await open(index));
      const sampler = new MemorySampler(array.pid);
      const end = Date.now() + SECONDS * 1000;
      const results = await Promise.all(opened.map((session, index) => load(session, index, () => Date.now() > end)));
      sampler.stop();
      const sum = (of: (result: MixedLoadResult) => number): number => results.reduce((total, result) => total + of(result), 0);
      process.stdout.write(
        `memory: ${megabytes(idle)} MiB idle, ${megabytes(sampler.most)} MiB at most of ${megabytes(RESIDENT_BYTES_MAX)} allowed; ` +
          `quarters ${[0, 1, 2, 3].map((n) => megabytes(sampler.mostBetween(n / 4, (n + 1) / 4))).join(" ")}; ` +
          `${sum((one) => one.reads)} reads, ${sum((one) => one.writes)} writes, ${megabytes(sum((one) => one.bytes) / SECONDS)} MiB/s, ` +
          `held back ${sum((one) => one.heldBack)}\n`,
      );
      expect(results.flatMap((result) => result.failures)).toEqual([]);
      expect(Math.min(...results.map((result) => result.reads + result.writes))).toBeGreaterThan(0);
      expect(sampler.most).toBeLessThanOrEqual(RESIDENT_BYTES_MAX);
      expect(sampler.mostBetween(0.75, 1) - sampler.mostBetween(0.5, 0.75)).toBeLessThan(GROWTH_BYTES_MAX);
    },
    (SECONDS + 60) * 1000,
  );

  test("sessions that never read their socket neither grow it nor hold up the others", async () => {
    const slow: Initiator[] = [];
    for (let index = 0; index < SLOW_READERS; index += 1) {
      const initiator = await Initiator.open(array.portalPorts[index % 2]!, {
        targetName: array.targetName,
        keys: { MaxRecvDataSegmentLength: "262144" },
      });
      initiator.socket.pause();
      for (let n = 0; n < 2 * QUEUE_DEPTH; n += 1) {
        const lun = BigInt(Math.floor(index / 2) % 2) << 48n;
        initiator.sendCommand(read10(n * 512, 512), { lun, read: true, expectedDataTransferLength: 512 * 512 });
      }
      slow.push(initiator);
    }
    await sleep(1000);
    const sampler = new MemorySampler(array.pid);
    const others = [];
    for (let index = 0; index < 4; index += 1) others.push(await open(index));
    const results = await Promise.all(
      others.map((session, index) => {
        let left = 500;
        return load(session, index, () => {
          left -= 1;
          return left < 0;
        });
      }),
    );
    sampler.stop();
    for (const initiator of slow) initiator.destroy();
    expect(results.flatMap((result) => result.failures)).toEqual([]);
    for (const { reads, writes } of results) expect(reads + writes).toBeGreaterThan(400);
    expect(sampler.most).toBeLessThanOrEqual(RESIDENT_BYTES_MAX);
  }, 60_000);

  test("what sessions held is given back when they have gone", async () => {
    for (const session of sessions.splice(0)) session.close();
    const again = residentBytes(array.pid);
    await sleep(500);
    const { sessions: left } = (await (await array.api("/api/v1/sessions")).json()) as { sessions: unknown[] };
    expect(left).toEqual([]);
    expect(residentBytes(array.pid)).toBeLessThanOrEqual(again + GROWTH_BYTES_MAX);
    expect((await array.stop()).status).toBe(0);
  });
});
