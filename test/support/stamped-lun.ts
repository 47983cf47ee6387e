/** Part of a LUN full of sectors that say where they belong: written, and looked at again after something has happened. */
import type { RunningArray } from "./array.ts";
import { cdb16, expectGood } from "./crash/crash-load.ts";
import { FOUND, SECTOR_BYTES, StampedData, stampSectors } from "./crash/sector-stamp.ts";
import { PipelinedSession } from "./pipelined-session.ts";

const PIECE_SECTORS = 512;
const BLOCK_SECTORS = 8;
const DEPTH = 8;
const SEED = 1;

export interface StampedRange {
  readonly lun: number;
  readonly sectors: number;
  /** A later write has another one. */
  readonly sequence: number;
}

export async function writeStamped(array: RunningArray, range: StampedRange, portal = 0): Promise<void> {
  const { lun, sequence } = range;
  await eachPiece(array, range, portal, async (session, firstSector, sectors) => {
    const dataOut = stampSectors({ lun, seed: SEED, sequence }, firstSector, sectors);
    expectGood(
      await session.execute(cdb16(0x8a, firstSector, sectors), { lun, dataOut }),
      `write of LUN ${lun} at ${firstSector}`,
    );
  });
}

/** How many sectors are not what was written. @throws Error when the array answers a read with an error */
export async function countWrongSectors(array: RunningArray, range: StampedRange, portal = 0): Promise<number> {
  const { lun, sequence } = range;
  let wrong = 0;
  await eachPiece(array, range, portal, async (session, firstSector, sectors) => {
    const answer = await session.execute(cdb16(0x88, firstSector, sectors), { lun, readBytes: sectors * SECTOR_BYTES });
    expectGood(answer, `read of LUN ${lun} at ${firstSector}`);
    const found = new StampedData(answer.data, { lun, seed: SEED, firstSector });
    for (let n = 0; n < sectors; n++) if (found.kind(n) !== FOUND.stamp || found.sequence(n) !== sequence) wrong += 1;
  });
  return wrong;
}

/** The same, a block at a time: sectors that are wrong, and those that are answered MEDIUM ERROR. @throws Error at any other error */
export async function lookAtSectors(array: RunningArray, range: StampedRange): Promise<{ wrong: number; unreadable: number }> {
  const { lun, sequence } = range;
  const seen = { wrong: 0, unreadable: 0 };
  await eachPiece(array, range, 0, async (session, firstPiece, sectors) => {
    for (let firstSector = firstPiece; firstSector < firstPiece + sectors; firstSector += BLOCK_SECTORS) {
      const cdb = cdb16(0x88, firstSector, BLOCK_SECTORS);
      const answer = await session.execute(cdb, { lun, readBytes: BLOCK_SECTORS * SECTOR_BYTES });
      if (answer.sense === "03/11/00") {
        seen.unreadable += BLOCK_SECTORS;
        continue;
      }
      expectGood(answer, `read of LUN ${lun} at ${firstSector}`);
      const found = new StampedData(answer.data, { lun, seed: SEED, firstSector });
      for (let n = 0; n < BLOCK_SECTORS; n++)
        if (found.kind(n) !== FOUND.stamp || found.sequence(n) !== sequence) seen.wrong += 1;
    }
  });
  return seen;
}

async function eachPiece(
  array: RunningArray,
  { lun, sectors }: StampedRange,
  portal: number,
  work: (session: PipelinedSession, firstSector: number, sectors: number) => Promise<void>,
): Promise<void> {
  const session = await PipelinedSession.open({ port: array.portalPorts[portal]!, targetName: array.targetName });
  try {
    await session.testUnitReady(lun);
    let next = 0;
    const worker = async (): Promise<void> => {
      while (next < sectors) {
        const firstSector = next;
        next += PIECE_SECTORS;
        await work(session, firstSector, Math.min(PIECE_SECTORS, sectors - firstSector));
      }
    };
    await Promise.all(Array.from({ length: DEPTH }, worker));
  } finally {
    session.close();
  }
}
