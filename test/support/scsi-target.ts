/** A target of two directors, the second one's device server reached as the channel would, over in-memory volumes. */
import type { GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import type { Routing } from "../../src/control/contract.ts";
import { TEST_UNIT_READY } from "../../src/scsi/cdb/test-unit-ready.ts";
import { DeviceServer } from "../../src/scsi/device-server.ts";
import { Target } from "../../src/scsi/target.ts";
import { CountedFrames } from "./counted-frames.ts";
import { testGlobalMemory } from "./global-memory.ts";
import { MemoryBlocks } from "./memory-blocks.ts";
import { ScsiInitiator } from "./scsi-initiator.ts";

export const TARGET_NAME = "iqn.2026-11.test:array";
export const VOLUME_BYTES = 8 * 1024 * 1024;
const FRAMES = 6144;

export interface TestTarget {
  readonly global: GlobalMemory;
  readonly frames: CountedFrames;
  /** By director. */
  readonly blocks: readonly [MemoryBlocks, MemoryBlocks];
  readonly servers: readonly [DeviceServer, DeviceServer];
  readonly targets: readonly [Target, Target];
  /** LUN 0: volume 1, director 0, 512. LUN 1: volume 2, director 1, 512. LUN 2: volume 3, director 0, 4096. */
  readonly routing: Routing;
  /** An initiator at a director's port, whose power-on unit attentions were taken off unless `fresh`. */
  initiator(directorIndex?: number, options?: { fresh?: boolean }): ScsiInitiator;
  route(luns: readonly { lun: number; volume: number }[]): void;
}

export function testTarget(): TestTarget {
  const { global } = testGlobalMemory({ frameCount: FRAMES });
  const frames = new CountedFrames(global, 0, FRAMES);
  const blocks: [MemoryBlocks, MemoryBlocks] = [new MemoryBlocks(frames), new MemoryBlocks(frames)];
  blocks[0].addVolume(1, VOLUME_BYTES);
  blocks[1].addVolume(2, VOLUME_BYTES);
  blocks[0].addVolume(3, VOLUME_BYTES, 4096);
  const ports = [0, 1].map((directorIndex) => ({ directorIndex, groupTag: directorIndex + 1 }));
  const server = (directorIndex: 0 | 1): DeviceServer =>
    new DeviceServer({
      blocks: blocks[directorIndex],
      frames,
      global,
      identity: { targetName: TARGET_NAME, ports, directorIndex },
    });
  const servers: [DeviceServer, DeviceServer] = [server(0), server(1)];
  const target = (directorIndex: 0 | 1): Target =>
    new Target({
      directorIndex,
      directorCount: 2,
      frames,
      global,
      local: servers[directorIndex],
      remote: (index) => servers[index as 0 | 1],
    });
  const targets: [Target, Target] = [target(0), target(1)];
  const routing = routingOf([
    { lun: 0, volume: 1 },
    { lun: 1, volume: 2 },
    { lun: 2, volume: 3 },
  ]);
  for (const one of targets) one.setRouting(routing);
  let session = 0;
  return {
    global,
    frames,
    blocks,
    servers,
    targets,
    routing,
    initiator(directorIndex = 0, { fresh = false } = {}) {
      session += 1;
      const initiator = new ScsiInitiator(targets[directorIndex as 0 | 1], frames, directorIndex * 65536 + session);
      if (!fresh) for (const lun of [0, 1, 2]) initiator.send(TEST_UNIT_READY, {}, { lun });
      return initiator;
    },
    route(luns) {
      for (const one of targets) one.setRouting(routingOf(luns));
    },
  };
}

function routingOf(luns: readonly { lun: number; volume: number }[]): Routing {
  return {
    array: {
      formatVersion: 1,
      version: 1,
      arrayId: "array",
      targetName: TARGET_NAME,
      nextVolume: 10,
      hosts: [],
      allowListOnly: false,
      luns,
    },
    volumes: [
      { volume: 1, pool: 0, owner: 0, logicalBlockBytes: 512 },
      { volume: 2, pool: 1, owner: 1, logicalBlockBytes: 512 },
      { volume: 3, pool: 0, owner: 0, logicalBlockBytes: 4096 },
    ],
  };
}
