/** Opens a crash image as its owner would: starts an array on it, logs in, and reads the whole unit. */
import { startArray } from "../array.ts";
import { cdb16, expectGood } from "../crash/crash-load.ts";
import { SECTOR_BYTES } from "../crash/sector-stamp.ts";
import { PipelinedSession } from "../pipelined-session.ts";
import { IMAGE_ARRAY } from "./image-array.ts";

const READ_SECTORS = 512;

/** @throws Error when it does not start, a pool is closed, or a read fails */
export async function readThroughArray(folder: string, configuration: string): Promise<Buffer> {
  const array = await startArray({ dataFolder: folder, env: { VARRAY_CONFIG: configuration, VARRAY_MEMORY_FRAMES: "64MiB" } });
  try {
    const { state, reason } = await array.pool("A");
    if (state === "failed") throw new Error(`the pool is closed: ${reason}`);
    const { targetName } = array;
    const session = await PipelinedSession.open({ port: array.portalPorts[0]!, targetName });
    await session.testUnitReady(0);
    const pieces: Buffer[] = [];
    for (let sector = 0; sector * SECTOR_BYTES < IMAGE_ARRAY.volumeBytes; sector += READ_SECTORS) {
      const readBytes = READ_SECTORS * SECTOR_BYTES;
      const answer = await session.execute(cdb16(0x88, sector, READ_SECTORS), { lun: 0, readBytes });
      expectGood(answer, `read of sectors ${sector} + ${READ_SECTORS} of the image`);
      pieces.push(answer.data);
    }
    session.close();
    return Buffer.concat(pieces);
  } finally {
    await array.kill9();
  }
}
