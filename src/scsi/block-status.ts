/** What a host is told when a block I/O was not good: one table, from the block interface to status and sense. */
import { BLOCK_STATUS, type BlockStatus } from "../volume/block-io.ts";
import type { Command } from "./command.ts";
import type { SenseName } from "./sense.ts";
import { STATUS } from "./task.ts";

type Answer = { readonly sense: SenseName; readonly withLba: boolean } | { readonly status: number };

const ANSWER: Readonly<Record<Exclude<BlockStatus, typeof BLOCK_STATUS.good>, Answer>> = {
  [BLOCK_STATUS.mediumError]: { sense: "unrecoveredReadError", withLba: true },
  [BLOCK_STATUS.spaceExhausted]: { sense: "spaceAllocationFailed", withLba: false },
  [BLOCK_STATUS.noMemory]: { status: STATUS.TASK_SET_FULL },
  [BLOCK_STATUS.failed]: { sense: "internalTargetFailure", withLba: false },
  [BLOCK_STATUS.noVolume]: { sense: "logicalUnitNotSupported", withLba: false },
  [BLOCK_STATUS.aborted]: { status: STATUS.TASK_ABORTED },
  [BLOCK_STATUS.reopening]: { status: STATUS.BUSY },
  [BLOCK_STATUS.unreachable]: { sense: "targetPortInUnavailableState", withLba: false },
  [BLOCK_STATUS.writeProtected]: { sense: "writeProtected", withLba: false },
};

/** Ends the command if its I/O failed. */
export function blockStatusFailed(command: Command): boolean {
  const { io } = command;
  if (io.status === BLOCK_STATUS.good) return false;
  const answer = ANSWER[io.status];
  if ("status" in answer) command.endWith(answer.status);
  else if (!answer.withLba) command.fail(answer.sense);
  else command.fail(answer.sense, { lba: BigInt(Math.floor(io.errorOffsetBytes / command.info.logicalBlockBytes)) });
  return true;
}
