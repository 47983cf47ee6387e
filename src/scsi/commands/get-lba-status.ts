/**
 * GET LBA STATUS (SBC-3 §5.6): what of a thin logical unit takes space. qemu and backup programs skip the rest.
 *
 * Runs on: the owning director's thread. One command tells as much as the volume finds out with bounded work; the host
 * asks again from where the last descriptor ends.
 */
import { MappingQuery } from "../../volume/block-io.ts";
import { LBA_STATUS_DESCRIPTORS_MAX } from "../block-limits.ts";
import { GET_LBA_STATUS } from "../cdb/get-lba-status.ts";
import type { Command } from "../command.ts";
import { ParameterData } from "../parameter-data.ts";

const HEADER_BYTES = 8;
const DESCRIPTOR_BYTES = 16;
/** PROVISIONING STATUS (SBC-3 table 35). There are no anchored blocks here. */
const PROVISIONING_STATUS = { mapped: 0, deallocated: 1 } as const;

export function getLbaStatus(command: Command): void {
  const { fields } = GET_LBA_STATUS;
  const { logicalBlockBytes, sizeBytes } = command.info;
  const lba = command.field(fields.startingLogicalBlockAddress);
  if (lba >= sizeBytes / logicalBlockBytes) {
    command.fail("logicalBlockAddressOutOfRange", { lba: command.bigField(fields.startingLogicalBlockAddress) });
    return;
  }
  const allocationLength = command.field(fields.allocationLength);
  const room = Math.floor((allocationLength - HEADER_BYTES) / DESCRIPTOR_BYTES);
  const query = new MappingQuery((done) => answer(command, done, allocationLength));
  query.volume = command.task.volume;
  query.offsetBytes = lba * logicalBlockBytes;
  query.extentsMax = Math.max(1, Math.min(LBA_STATUS_DESCRIPTORS_MAX, room));
  command.services.blocks.mapping(query);
}

function answer(command: Command, query: MappingQuery, allocationLength: number): void {
  command.io.status = query.status;
  if (command.failedIo()) return;
  const { logicalBlockBytes } = command.info;
  const { extents } = query;
  const data = new ParameterData(HEADER_BYTES + extents.length * DESCRIPTOR_BYTES);
  data.u32(0, data.bytes.length - 4); // PARAMETER DATA LENGTH
  let offsetBytes = query.offsetBytes;
  for (const [index, { bytes, mapped }] of extents.entries()) {
    const at = HEADER_BYTES + index * DESCRIPTOR_BYTES;
    data.u64(at, BigInt(offsetBytes / logicalBlockBytes));
    data.u32(at + 8, bytes / logicalBlockBytes);
    data.u8(at + 12, mapped ? PROVISIONING_STATUS.mapped : PROVISIONING_STATUS.deallocated);
    offsetBytes += bytes;
  }
  command.inline(data.bytes, allocationLength);
}
