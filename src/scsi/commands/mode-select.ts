/**
 * MODE SELECT(6) and (10) (SPC-4 §6.9, §6.10): the whole list is checked, then WCE is changed, durably, for all nexuses.
 *
 *   list ──checked──► setWriteCache ──(WCE off)──► flush ──► end, unit attention 2A/01 to the other nexuses
 *
 * Runs on: the owning director's thread. Owns: nothing.
 */
import type { Field } from "../cdb/field.ts";
import { MODE_SELECT_6, MODE_SELECT_10 } from "../cdb/mode-select.ts";
import type { Command } from "../command.ts";
import { MODE_PAGES, modePageValues, PAGE_CONTROL, writeCacheEnabledOf } from "../mode-pages.ts";
import type { SenseName } from "../sense.ts";
import { parameterList } from "./data-out.ts";

type SelectFields = Readonly<Record<"pf" | "sp" | "parameterListLength", Field>>;

interface ListShape {
  readonly headerBytes: number;
  /** Byte of the header that holds the block descriptor length, and how wide it is. */
  readonly descriptorLengthByte: number;
  readonly descriptorLengthBytes: 1 | 2;
  /** Byte of the header whose bit 0 is LONGLBA. */
  readonly longLbaByte: number | undefined;
}

const LIST_6: ListShape = { headerBytes: 4, descriptorLengthByte: 3, descriptorLengthBytes: 1, longLbaByte: undefined };
const LIST_10: ListShape = { headerBytes: 8, descriptorLengthByte: 6, descriptorLengthBytes: 2, longLbaByte: 4 };

/** What a list asks for, or why it is refused. */
type Verdict = { readonly writeCacheEnabled: boolean | undefined } | { readonly sense: SenseName; readonly byte?: number };

const lengthError: Verdict = { sense: "parameterListLengthError" };
const invalid = (byte: number): Verdict => ({ sense: "invalidFieldInParameterList", byte });

function modeSelectCommand(fields: SelectFields, shape: ListShape): (command: Command) => void {
  return (command) => {
    const listBytes = command.field(fields.parameterListLength);
    command.task.transferBytes = listBytes;
    if (command.field(fields.pf) === 0) return command.invalidField(fields.pf);
    if (listBytes === 0) return command.good();
    if (listBytes < shape.headerBytes || command.task.dataOut.bytes < listBytes) return command.fail("parameterListLengthError");
    const verdict = checkList(command, parameterList(command).subarray(0, listBytes), shape);
    if ("sense" in verdict) {
      const { sense, byte } = verdict;
      return command.fail(sense, byte === undefined ? undefined : { field: { inCdb: false, byte } });
    }
    apply(command, verdict.writeCacheEnabled);
  };
}

function checkList(command: Command, list: Uint8Array, shape: ListShape): Verdict {
  const at = shape.descriptorLengthByte;
  const descriptorBytes = shape.descriptorLengthBytes === 1 ? list[at]! : list[at]! * 256 + list[at + 1]!;
  const long = shape.longLbaByte !== undefined && (list[shape.longLbaByte]! & 0x01) !== 0;
  if (descriptorBytes !== 0 && descriptorBytes !== (long ? 16 : 8)) return invalid(at);
  const pagesAt = shape.headerBytes + descriptorBytes;
  if (pagesAt > list.length) return lengthError;
  if (descriptorBytes > 0 && !descriptorFits(command, list.subarray(shape.headerBytes, pagesAt), long))
    return invalid(shape.headerBytes);
  return checkPages(command, list, pagesAt);
}

/** The capacity and the block length can't be set by MODE SELECT: they must be as they are, or not given. */
function descriptorFits(command: Command, descriptor: Uint8Array, long: boolean): boolean {
  const { sizeBytes, logicalBlockBytes } = command.info;
  const view = new DataView(descriptor.buffer, descriptor.byteOffset, descriptor.byteLength);
  const capacity = BigInt(sizeBytes / logicalBlockBytes);
  const blocks = long ? view.getBigUint64(0) : BigInt(view.getUint32(0));
  const length = long ? view.getUint32(12) : view.getUint32(4) & 0xff_ffff;
  const most = long ? 0xffff_ffff_ffff_ffffn : 0xffff_ffffn;
  const blocksFit = blocks === 0n || blocks === most || blocks === capacity;
  return blocksFit && (length === 0 || length === logicalBlockBytes);
}

function checkPages(command: Command, list: Uint8Array, from: number): Verdict {
  let writeCacheEnabled: boolean | undefined;
  for (let at = from; at < list.length; ) {
    if (list.length - at < 2) return lengthError;
    const code = list[at]! & 0x7f; // PS is reserved here; SPF (a subpage) makes it a page that is not there
    const page = MODE_PAGES.find((candidate) => candidate.code === code);
    if (page === undefined) return invalid(at);
    const { length } = page.defaults;
    if (list[at + 1]! !== length - 2) return invalid(at + 1);
    if (at + length > list.length) return lengthError;
    const values = list.subarray(at, at + length);
    const current = modePageValues(page, PAGE_CONTROL.current, command.info);
    for (let i = 2; i < length; i += 1) {
      if (((values[i]! ^ current[i]!) & ~page.changeable[i]! & 0xff) !== 0) return invalid(at + i);
    }
    writeCacheEnabled = writeCacheEnabledOf(code, values) ?? writeCacheEnabled;
    at += length;
  }
  return { writeCacheEnabled };
}

function apply(command: Command, writeCacheEnabled: boolean | undefined): void {
  if (writeCacheEnabled === undefined || writeCacheEnabled === command.info.writeCacheEnabled) {
    command.good();
    return;
  }
  command.services.blocks.setWriteCache(command.task.volume, writeCacheEnabled, (ok) => {
    if (!ok) return command.fail("internalTargetFailure");
    command.unit.raise("modeParametersChanged", command.task.nexus);
    if (writeCacheEnabled) return command.good();
    // Turned off: what was acknowledged before becomes durable before this command ends.
    command.start("flush", command.range(0, 0, true), flushed);
  });
}

function flushed(command: Command): void {
  if (!command.failedIo()) command.good();
}

export const modeSelect6 = modeSelectCommand(MODE_SELECT_6.fields, LIST_6);
export const modeSelect10 = modeSelectCommand(MODE_SELECT_10.fields, LIST_10);
