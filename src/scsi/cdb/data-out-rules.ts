/**
 * The data-out of block commands, from the CDB alone.
 *
 * Runs on: any thread. Owns: nothing.
 * A command that will be refused for its length plans no data: nothing is reserved for it.
 */
import { BLOCK_BYTES } from "../../volume/block-io.ts";
import { TRANSFER_BYTES_MAX } from "../block-limits.ts";
import type { DataOutPlan } from "../task.ts";
import type { DataOutRule } from "./define-cdb.ts";
import { type Field, fieldValue } from "./field.ts";

/** `length` logical blocks that go to `logicalBlockAddress`. */
export function blocksOut(fields: { logicalBlockAddress: Field; transferLength: Field }, zeroMeans = 0): DataOutRule {
  return (cdb, logicalBlockBytes, plan) => {
    planBlocks(cdb, fields, zeroMeans, logicalBlockBytes, plan);
  };
}

/** VERIFY: BYTCHK 01b sends as many blocks as are verified, 11b one, else none (SBC-3 §5.31). */
export function verifyOut(fields: { logicalBlockAddress: Field; transferLength: Field; bytchk: Field }): DataOutRule {
  return (cdb, logicalBlockBytes, plan) => {
    const bytchk = fieldValue(cdb, fields.bytchk);
    if (bytchk === 1) planBlocks(cdb, fields, 0, logicalBlockBytes, plan);
    else if (bytchk === 3 && fieldValue(cdb, fields.transferLength) > 0) plan.bytes = logicalBlockBytes;
  };
}

function planBlocks(
  cdb: Uint8Array,
  fields: { logicalBlockAddress: Field; transferLength: Field },
  zeroMeans: number,
  logicalBlockBytes: number,
  plan: DataOutPlan,
): void {
  const blocks = fieldValue(cdb, fields.transferLength) || zeroMeans;
  const bytes = blocks * logicalBlockBytes;
  if (bytes > TRANSFER_BYTES_MAX) return;
  plan.bytes = bytes;
  plan.phase = (fieldValue(cdb, fields.logicalBlockAddress) % (BLOCK_BYTES / logicalBlockBytes)) * logicalBlockBytes;
}

/** A parameter list of so many bytes; one that is longer than `bytesMax` is refused. */
export function parameterListOut(length: Field, bytesMax: number): DataOutRule {
  return (cdb, _logicalBlockBytes, plan) => {
    const bytes = fieldValue(cdb, length);
    if (bytes <= bytesMax) plan.bytes = bytes;
  };
}
