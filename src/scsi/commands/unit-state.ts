/** TEST UNIT READY, REQUEST SENSE, RESERVE and RELEASE: the state of the logical unit. Runs on: the owning director's thread. */
import { REQUEST_SENSE } from "../cdb/request-sense.ts";
import { RESERVE_6, RESERVE_10 } from "../cdb/reserve.ts";
import type { Command } from "../command.ts";
import { NO_RESERVATION } from "../logical-unit.ts";
import { SCSI_COUNTERS } from "../scsi-counters.ts";
import { encodeDescriptorSense, encodeFixedSense, SENSE, type SenseName } from "../sense.ts";
import { SENSE_BYTES_MAX } from "../task.ts";
import { firstUnitAttention } from "../unit-attention.ts";
import { mustBeZero } from "./block-range.ts";

export function testUnitReady(command: Command): void {
  command.good();
}

/** Parameter data of REQUEST SENSE, in the format asked for. */
export function senseParameterData(sense: SenseName, descriptorFormat: boolean): Uint8Array {
  const data = new Uint8Array(SENSE_BYTES_MAX);
  const bytes = descriptorFormat ? encodeDescriptorSense(data, SENSE[sense]) : encodeFixedSense(data, SENSE[sense]);
  return data.subarray(0, bytes);
}

/** A pending unit attention is returned as data, with GOOD, and is cleared by that (SPC-4 §6.39). */
export function requestSense(command: Command): void {
  const { fields } = REQUEST_SENSE;
  const attention = firstUnitAttention(command.nexus.attentions);
  if (attention !== undefined) {
    command.nexus.tellFirst();
    command.services.counters[SCSI_COUNTERS.slots.unitAttentions]! += 1;
  }
  command.inline(
    senseParameterData(attention ?? "noSense", command.field(fields.desc) !== 0),
    command.field(fields.allocationLength),
  );
}

/** Conflicts were found before the command began. */
function reserve(command: Command): void {
  command.unit.reservation = command.task.nexus;
  command.good();
}

export function reserve6(command: Command): void {
  const { fields } = RESERVE_6;
  if (mustBeZero(command, fields.thirdParty) && mustBeZero(command, fields.extent)) reserve(command);
}

export function reserve10(command: Command): void {
  const { fields } = RESERVE_10;
  const plain =
    mustBeZero(command, fields.thirdParty) && mustBeZero(command, fields.longId) && mustBeZero(command, fields.extent);
  if (plain && mustBeZero(command, fields.parameterListLength)) reserve(command);
}

/** By another nexus than the holder: nothing happens, and that is GOOD (SPC-2 §7.17). */
export function release(command: Command): void {
  if (command.unit.reservation === command.task.nexus) command.unit.reservation = NO_RESERVATION;
  command.good();
}
