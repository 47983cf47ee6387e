/** SYNCHRONIZE CACHE, PRE-FETCH and START STOP UNIT: what they do to the cache. Runs on: the owning director's thread. */
import { BlockIo } from "../../volume/block-io.ts";
import type { Field } from "../cdb/field.ts";
import { PRE_FETCH_10, PRE_FETCH_16 } from "../cdb/pre-fetch.ts";
import { START_STOP_UNIT } from "../cdb/start-stop-unit.ts";
import { SYNCHRONIZE_CACHE_10, SYNCHRONIZE_CACHE_16 } from "../cdb/synchronize-cache.ts";
import type { Command } from "../command.ts";
import { type BlockFields, blockRangeToEnd } from "./block-range.ts";

function synchronizeCacheCommand(fields: BlockFields & { readonly immed: Field }): (command: Command) => void {
  return (command) => {
    if (!blockRangeToEnd(command, fields)) return;
    flushThenGood(command, command.field(fields.immed) !== 0);
  };
}

/** The pool's journal is one, so the range makes no difference: everything acknowledged becomes durable. */
function flushThenGood(command: Command, immediately: boolean): void {
  if (!immediately) {
    command.start("flush", command.range(command.offsetBytes, 0, true), flushed);
    return;
  }
  // IMMED: GOOD now, and the flush goes on by itself. If it fails the pool raises its own event.
  const io = new BlockIo(() => {});
  io.volume = command.task.volume;
  command.services.blocks.flush(io);
  command.good();
}

function flushed(command: Command): void {
  if (!command.failedIo()) command.good();
}

/** GOOD, not CONDITION MET: the blocks need not all fit, and none were fetched (SBC-3 §5.8). */
function preFetchCommand(fields: BlockFields): (command: Command) => void {
  return (command) => {
    if (blockRangeToEnd(command, fields)) command.good();
  };
}

/**
 * A logical unit that several hosts share is not stopped by one of them: START 0 makes the cache durable, and the unit
 * stays ready. There is no medium to eject and there are no power conditions but active.
 */
export function startStopUnit(command: Command): void {
  const { fields } = START_STOP_UNIT;
  if (command.field(fields.loej) !== 0) {
    command.invalidField(fields.loej);
    return;
  }
  const powerCondition = command.field(fields.powerCondition);
  if (powerCondition > 1) {
    // 0: START_VALID, 1: ACTIVE
    command.invalidField(fields.powerCondition);
    return;
  }
  const stops = powerCondition === 0 && command.field(fields.start) === 0 && command.field(fields.noFlush) === 0;
  if (stops) flushThenGood(command, command.field(fields.immed) !== 0);
  else command.good();
}

export const synchronizeCache10 = synchronizeCacheCommand(SYNCHRONIZE_CACHE_10.fields);
export const synchronizeCache16 = synchronizeCacheCommand(SYNCHRONIZE_CACHE_16.fields);
export const preFetch10 = preFetchCommand(PRE_FETCH_10.fields);
export const preFetch16 = preFetchCommand(PRE_FETCH_16.fields);
