/**
 * UNMAP: all descriptors are checked before the first range is given back (SBC-3 §5.28).
 *
 * Runs on: the owning director's thread. Owns: nothing.
 */
import { UNMAP_BYTES_MAX, UNMAP_DESCRIPTORS_MAX } from "../block-limits.ts";
import { UNMAP } from "../cdb/unmap.ts";
import type { Command } from "../command.ts";
import { SCSI_COUNTERS } from "../scsi-counters.ts";
import { mustBeZero } from "./block-range.ts";
import { parameterList } from "./data-out.ts";

const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
const unmappedBytesSlot = SCSI_COUNTERS.slots.unmappedBytes;

interface Range {
  offsetBytes: number;
  bytes: number;
}

export function unmap(command: Command): void {
  const { fields } = UNMAP;
  if (!mustBeZero(command, fields.anchor)) return; // ANC_SUP is 0
  const listBytes = command.field(fields.parameterListLength);
  command.task.transferBytes = listBytes;
  if (listBytes === 0) {
    command.good();
    return;
  }
  if (listBytes < HEADER_BYTES || command.task.dataOut.bytes < listBytes) {
    command.fail("parameterListLengthError");
    return;
  }
  const ranges = checkedRanges(command, parameterList(command));
  if (ranges === undefined) return;
  command.steps = ranges.reverse(); // the next one is popped off the end
  unmapNext(command);
}

/** The ranges to unmap, neighbours joined; undefined if it ended the command. */
function checkedRanges(command: Command, list: Uint8Array): Range[] | undefined {
  const view = new DataView(list.buffer, list.byteOffset, list.byteLength);
  const descriptorBytes = view.getUint16(2);
  if (HEADER_BYTES + descriptorBytes > list.length) {
    command.fail("parameterListLengthError");
    return undefined;
  }
  const count = Math.floor(descriptorBytes / DESCRIPTOR_BYTES); // a last one that is cut short is ignored
  const refuse = (byte: number): undefined => {
    command.fail("invalidFieldInParameterList", { field: { inCdb: false, byte } });
    return undefined;
  };
  if (count > UNMAP_DESCRIPTORS_MAX) return refuse(2);
  const { logicalBlockBytes, sizeBytes } = command.info;
  const capacity = BigInt(sizeBytes / logicalBlockBytes);
  const ranges: Range[] = [];
  let total = 0;
  for (let at = HEADER_BYTES; at < HEADER_BYTES + count * DESCRIPTOR_BYTES; at += DESCRIPTOR_BYTES) {
    const lba = view.getBigUint64(at);
    const blocks = view.getUint32(at + 8);
    if (lba + BigInt(blocks) > capacity) {
      command.fail("logicalBlockAddressOutOfRange", { lba: lba < capacity ? capacity : lba });
      return undefined;
    }
    if (blocks === 0) continue; // not an error (SBC-3 §5.28.2)
    total += blocks * logicalBlockBytes;
    if (total > UNMAP_BYTES_MAX) return refuse(at + 8);
    addRange(ranges, Number(lba) * logicalBlockBytes, blocks * logicalBlockBytes);
  }
  return ranges;
}

function addRange(ranges: Range[], offsetBytes: number, bytes: number): void {
  const last = ranges.at(-1);
  if (last !== undefined && last.offsetBytes + last.bytes === offsetBytes) last.bytes += bytes;
  else ranges.push({ offsetBytes, bytes });
}

function unmapNext(command: Command): void {
  const range = (command.steps as Range[]).pop();
  if (range === undefined) {
    command.good();
    return;
  }
  command.start("zero", command.range(range.offsetBytes, range.bytes, !command.info.writeCacheEnabled), unmapped);
}

function unmapped(command: Command): void {
  if (command.failedIo()) return;
  command.services.counters[unmappedBytesSlot]! += command.io.bytes;
  unmapNext(command);
}
