/**
 * REPORT TARGET PORT GROUPS (SPC-4 §6.37): each director is a group of one port. Through the owner's port access is
 * optimized; through the others it goes over the channel. States change implicitly, with the owner.
 *
 * Runs on: the owning director's thread.
 */
import { REPORT_TARGET_PORT_GROUPS } from "../cdb/report-target-port-groups.ts";
import type { Command } from "../command.ts";
import { ParameterData } from "../parameter-data.ts";

const STATE = { activeOptimized: 0x0, activeNonOptimized: 0x1 } as const;
const PREFERRED = 0x80;
/** AN_SUP, AO_SUP: states that can be reported. */
const SUPPORTED_STATES = 0x02 | 0x01;
const GROUP_BYTES = 12;
/** PARAMETER DATA FORMAT 001b: a header of four more bytes. */
const EXTENDED_HEADER_FORMAT = 1;

export function reportTargetPortGroups(command: Command): void {
  const { fields } = REPORT_TARGET_PORT_GROUPS;
  const format = command.field(fields.parameterDataFormat);
  if (format > EXTENDED_HEADER_FORMAT) {
    command.invalidField(fields.parameterDataFormat);
    return;
  }
  const { identity } = command.services;
  const headerBytes = format === EXTENDED_HEADER_FORMAT ? 8 : 4;
  const length = headerBytes + identity.ports.length * GROUP_BYTES;
  const data = new ParameterData(length).u32(0, length - 4);
  if (format === EXTENDED_HEADER_FORMAT) data.u8(4, EXTENDED_HEADER_FORMAT << 4); // IMPLICIT TRANSITION TIME 0: the default
  for (const [index, port] of identity.ports.entries()) {
    const owner = port.directorIndex === identity.directorIndex;
    const at = headerBytes + index * GROUP_BYTES;
    data
      .u8(at, (owner ? PREFERRED : 0) | (owner ? STATE.activeOptimized : STATE.activeNonOptimized))
      .u8(at + 1, SUPPORTED_STATES)
      .u16(at + 2, port.groupTag)
      .u8(at + 7, 1) // TARGET PORT COUNT
      .u16(at + 10, port.groupTag); // RELATIVE TARGET PORT IDENTIFIER
  }
  command.inline(data.bytes, command.field(fields.allocationLength));
}
