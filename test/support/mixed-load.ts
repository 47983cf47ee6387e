/** Reads and writes of 4 KiB to 256 KiB, as many at once as asked for, for as long as asked for, through one session. */
import { setTimeout as sleep } from "node:timers/promises";
import { read10, write10 } from "./initiator.ts";
import type { PipelinedSession } from "./pipelined-session.ts";
import type { Random } from "./random.ts";

const BLOCK_BYTES = 4096;
const SECTORS_PER_BLOCK = 8;
const BLOCKS_MAX = 64;
const BUSY_STATUSES = [0x08, 0x28]; // BUSY, TASK SET FULL
const BUSY_MILLISECONDS = 10;

export interface MixedLoad {
  readonly session: PipelinedSession;
  readonly lun: number;
  readonly queueDepth: number;
  /** The part of the LUN that is used, from its start. */
  readonly bytes: number;
  readonly writeShare: number;
  readonly random: Random;
  readonly isOver: () => boolean;
}

export interface MixedLoadResult {
  reads: number;
  writes: number;
  bytes: number;
  /** BUSY and TASK SET FULL: asked again. */
  heldBack: number;
  /** Anything else that is not GOOD. */
  readonly failures: string[];
}

export async function runMixedLoad(load: MixedLoad): Promise<MixedLoadResult> {
  const result: MixedLoadResult = { reads: 0, writes: 0, bytes: 0, heldBack: 0, failures: [] };
  const data = Buffer.alloc(BLOCKS_MAX * BLOCK_BYTES);
  for (let at = 0; at < data.length; at += 4) data.writeInt32LE(load.random.between(-(2 ** 31), 2 ** 31 - 1), at);
  await Promise.all(Array.from({ length: load.queueDepth }, () => worker(load, data, result)));
  return result;
}

async function worker(load: MixedLoad, data: Buffer, result: MixedLoadResult): Promise<void> {
  const { session, lun, random } = load;
  while (!load.isOver() && result.failures.length === 0) {
    // As many small ones as large ones: sizes by powers of two.
    const blocks = 2 ** random.between(0, Math.log2(BLOCKS_MAX));
    const sector = random.between(0, Math.floor(load.bytes / BLOCK_BYTES) - blocks) * SECTORS_PER_BLOCK;
    const sectors = blocks * SECTORS_PER_BLOCK;
    const bytes = blocks * BLOCK_BYTES;
    const isWrite = random.chance(load.writeShare);
    const answer = isWrite
      ? await session.execute(write10(sector, sectors), { lun, dataOut: data.subarray(0, bytes) })
      : await session.execute(read10(sector, sectors), { lun, readBytes: bytes });
    if (answer.status === 0) {
      result[isWrite ? "writes" : "reads"] += 1;
      result.bytes += bytes;
    } else if (answer.status !== undefined && BUSY_STATUSES.includes(answer.status)) {
      result.heldBack += 1;
      await sleep(BUSY_MILLISECONDS);
    } else result.failures.push(answer.status === undefined ? "the connection ended" : `${answer.status} ${answer.sense}`);
  }
}
