/** Two directors' channel ends in one thread, over logical units of tests, and their life and death. */
import { Channel } from "../../directors/channel/channel.ts";
import { TurnEnd } from "../../directors/turn-end.ts";
import { counterBlock } from "../../drivers/shared-memory/counters.ts";
import { raiseThreadEpoch } from "../../drivers/shared-memory/epoch.ts";
import { createGlobalMemory, type GlobalMemory } from "../../drivers/shared-memory/global-memory.ts";
import { FRAME_BYTES, threadNumber } from "../../drivers/shared-memory/layout.ts";
import { growFrameRun, type LogicalUnitServer, ScsiTask, TASK_ATTRIBUTE } from "../../src/scsi/task.ts";
import { CountedFrames } from "./counted-frames.ts";
import { encodeUnitCommand, gather, MemoryUnit, scatter, UNIT_COMMAND, type UnitResult } from "./memory-unit.ts";

const UNIT_BYTES = 4 * 2 ** 20 + FRAME_BYTES;

export interface ChannelSide {
  readonly frames: CountedFrames;
  readonly unit: MemoryUnit;
  readonly channel: Channel;
  readonly counters: Float64Array;
}

export interface ChannelPair {
  readonly global: GlobalMemory;
  readonly asked: ChannelSide;
  readonly owner: ChannelSide;
  /** Runs both ends until nothing moves. */
  settle(options?: { holdUnit?: boolean; pick?: () => number }): void;
}

interface PairShape {
  readonly frames?: number;
  readonly ringSlots?: number;
  readonly ownerFrames?: number;
  readonly unitBytes?: number;
}

export function makePair(shape: PairShape = {}): ChannelPair {
  const { frames = 4096, ringSlots = 1024, ownerFrames = frames, unitBytes = UNIT_BYTES } = shape;
  const { global } = createGlobalMemory({
    directorCount: 2,
    poolCount: 0,
    driveCount: 0,
    poolReachedBy: [],
    frameCount: frames + ownerFrames,
    stagingBytesPerPool: 0,
    mailboxBytes: 0,
    channelRingSlots: ringSlots,
  });
  const lives = [0, 1].map((director) => {
    const epoch = raiseThreadEpoch(global, threadNumber(global.layout, "director", director), director + 5);
    return { director, epoch };
  });
  // Never runs: `settle` flushes.
  const turnEnd = new TurnEnd(() => {});
  const side = (directorIndex: number): ChannelSide => {
    const source = new CountedFrames(global, directorIndex * frames, directorIndex === 0 ? frames : ownerFrames);
    const unit = new MemoryUnit(global, source, unitBytes);
    const partners = [lives[1 - directorIndex]!];
    const channel = new Channel({ global, directorIndex, frames: source, server: unit, turnEnd, partners });
    return { frames: source, unit, channel, counters: counterBlock(global, "channel", directorIndex) };
  };
  const asked = side(0);
  const owner = side(1);
  const settle: ChannelPair["settle"] = ({ holdUnit = false, pick = () => 0 } = {}) => {
    for (;;) {
      asked.channel.flush();
      owner.channel.flush();
      let moved = asked.channel.drain();
      moved = owner.channel.drain() || moved;
      moved = asked.frames.serveWaiters() || moved;
      moved = owner.frames.serveWaiters() || moved;
      if (!holdUnit) moved = owner.unit.step(pick()) || asked.unit.step(pick()) || moved;
      if (!moved) return;
    }
  };
  return { global, asked, owner, settle };
}

export interface UnitCommand {
  readonly command: number;
  readonly offset: number;
  readonly bytes: number;
  readonly seed: number;
}

export function submit(
  side: ChannelSide,
  server: LogicalUnitServer,
  command: UnitCommand,
  done: (result: UnitResult, task: ScsiTask) => void,
): ScsiTask {
  const task = new ScsiTask((completed) => {
    const data = completed.inlineDataIn ?? gather(side.frames, completed.dataIn);
    done(
      {
        status: completed.status,
        sense: Buffer.from(completed.sense.subarray(0, completed.senseBytes)).toString("hex"),
        transferBytes: completed.transferBytes,
        data: Buffer.from(data).toString("base64"),
      },
      completed,
    );
  });
  encodeUnitCommand(task.cdb, command.command, command.offset, command.bytes);
  task.nexus = 7;
  task.attribute = TASK_ATTRIBUTE.ordered;
  if (command.command === UNIT_COMMAND.write) {
    const run = task.dataOut;
    run.phase = command.offset % FRAME_BYTES;
    run.bytes = command.bytes;
    run.frameCount = Math.ceil((run.phase + run.bytes) / FRAME_BYTES);
    growFrameRun(run, run.frameCount);
    if (!side.frames.tryTake(run.frameCount, run.frames, 0)) throw new Error("the test has too few frames");
    scatter(side.frames, run, pattern(command));
  }
  server.submit(task);
  return task;
}

export function pattern({ bytes, seed }: UnitCommand): Uint8Array {
  return Uint8Array.from({ length: bytes }, (_, n) => (n * 31 + (n >> 8) + seed) & 0xff);
}
