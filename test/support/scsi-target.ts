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
  /** An initiator at a director's port, whose power-on unit attentions were told and heard unless `fresh`. */
  initiator(directorIndex?: number, options?: { fresh?: boolean }): ScsiInitiator;
  route(luns: readonly { lun: number; volume: number }[]): void;
  /** What is said of volumes and directors from now on, to one director or to all. */
  reroute(change: Partial<Pick<Routing, "volumes" | "directorsDown">>, directors?: readonly number[]): void;
  /** Routing with another owner, or another access state, of one volume. */
  volumesWith(volume: number, change: Partial<Routing["volumes"][number]>): Routing["volumes"];
  /** What a volume holds is the other director's to serve; neither device server is told. */
  carry(volume: number, from: 0 | 1, to: 0 | 1): void;
}

/** @param options.global - that of an array that was there before */
export function testTarget(options: { global?: GlobalMemory } = {}): TestTarget {
  const global = options.global ?? testGlobalMemory({ frameCount: FRAMES }).global;
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
      // What the first command is told, the second has heard.
      if (!fresh) for (const lun of [0, 1, 2, 0, 1, 2]) initiator.send(TEST_UNIT_READY, {}, { lun });
      return initiator;
    },
    route(luns) {
      for (const one of targets) one.setRouting(routingOf(luns));
    },
    reroute(change, directors = [0, 1]) {
      for (const director of directors) targets[director as 0 | 1].setRouting({ ...routing, ...change });
    },
    volumesWith: (volume, change) => routing.volumes.map((route) => (route.volume === volume ? { ...route, ...change } : route)),
    carry(volume, from, to) {
      const { logicalBlockBytes } = blocks[from].volumeInfo(volume)!;
      blocks[to].addVolume(volume, VOLUME_BYTES, logicalBlockBytes);
      blocks[to].bytes.set(volume, blocks[from].bytes.get(volume)!);
      blocks[from].removeVolume(volume);
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
