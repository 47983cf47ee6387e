/** MODE SENSE(6) and (10) (SPC-4 §6.11, §6.12). Runs on: the owning director's thread. */
import { type Field, fieldValue } from "../cdb/field.ts";
import { MODE_SENSE_6, MODE_SENSE_10 } from "../cdb/mode-sense.ts";
import type { Command } from "../command.ts";
import { MODE_PAGE_ALL, MODE_PAGES, MODE_SUBPAGE_ALL, modePageValues } from "../mode-pages.ts";
import { concatenate, ParameterData } from "../parameter-data.ts";

/** DEVICE-SPECIFIC PARAMETER: DPO and FUA are supported; not write protected (SBC-3 §6.5.1). */
const DPOFUA = 0x10;

type SenseFields = Readonly<Record<"dbd" | "pageControl" | "pageCode" | "subpageCode" | "allocationLength", Field>>;

/** The pages asked for, one after the other; undefined if it ended the command. */
function askedPages(command: Command, fields: SenseFields): Uint8Array | undefined {
  const pageCode = command.field(fields.pageCode);
  const subpageCode = command.field(fields.subpageCode);
  const pageControl = command.field(fields.pageControl);
  if (subpageCode !== 0 && subpageCode !== MODE_SUBPAGE_ALL) {
    command.invalidField(fields.subpageCode);
    return undefined;
  }
  const pages = MODE_PAGES.filter((page) => pageCode === MODE_PAGE_ALL || page.code === pageCode);
  if (pages.length === 0) {
    command.invalidField(fields.pageCode);
    return undefined;
  }
  return concatenate(pages.map((page) => modePageValues(page, pageControl, command.info)));
}

/** Short or long LBA mode parameter block descriptor (SBC-3 §6.5.2). */
function blockDescriptor(command: Command, long: boolean): Uint8Array {
  const { sizeBytes, logicalBlockBytes } = command.info;
  const blocks = sizeBytes / logicalBlockBytes;
  return long
    ? new ParameterData(16).u64(0, BigInt(blocks)).u32(12, logicalBlockBytes).bytes
    : new ParameterData(8).u32(0, Math.min(blocks, 0xffff_ffff)).u24(5, logicalBlockBytes).bytes;
}

export function modeSense6(command: Command): void {
  const { fields } = MODE_SENSE_6;
  const pages = askedPages(command, fields);
  if (pages === undefined) return;
  const descriptor = command.field(fields.dbd) !== 0 ? new Uint8Array(0) : blockDescriptor(command, false);
  const header = new ParameterData(4)
    .u8(0, 3 + descriptor.length + pages.length)
    .u8(2, DPOFUA)
    .u8(3, descriptor.length).bytes;
  command.inline(concatenate([header, descriptor, pages]), command.field(fields.allocationLength));
}

export function modeSense10(command: Command): void {
  const { fields } = MODE_SENSE_10;
  const pages = askedPages(command, fields);
  if (pages === undefined) return;
  const long = fieldValue(command.task.cdb, fields.llbaa) !== 0;
  const descriptor = command.field(fields.dbd) !== 0 ? new Uint8Array(0) : blockDescriptor(command, long);
  const header = new ParameterData(8)
    .u16(0, 6 + descriptor.length + pages.length)
    .u8(3, DPOFUA)
    .u8(4, long && descriptor.length > 0 ? 0x01 : 0) // LONGLBA
    .u16(6, descriptor.length).bytes;
  command.inline(concatenate([header, descriptor, pages]), command.field(fields.allocationLength));
}
