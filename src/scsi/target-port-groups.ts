/**
 * Target port groups of a logical unit, and in which state they are (SPC-4 §5.15, §6.37).
 *
 * Each director is a group of one port. Through the owner's port access is optimized; through the others it goes over the
 * channel. States change implicitly: with the owner, and with directors that go down and come back.
 *
 * Runs on: any thread.
 */
import type { VolumeAccess } from "../control/contract.ts";
import { ParameterData } from "./parameter-data.ts";
import type { TargetPort } from "./target-identity.ts";

const STATE = { activeOptimized: 0x0, activeNonOptimized: 0x1, unavailable: 0x3, transitioning: 0xf } as const;
const PREFERRED = 0x80;
/** T_SUP, U_SUP, AN_SUP, AO_SUP: states that can be reported. */
const SUPPORTED_STATES = 0x80 | 0x08 | 0x02 | 0x01;
const GROUP_BYTES = 12;
/** PARAMETER DATA FORMAT 001b: a header of four more bytes. */
export const EXTENDED_HEADER_FORMAT = 1;

/** Who can reach a volume, and how. */
export interface UnitAccess {
  readonly owner: number;
  readonly access: VolumeAccess;
  readonly directorsDown: ReadonlySet<number>;
}

function portState(directorIndex: number, { owner, access, directorsDown }: UnitAccess): number {
  if (access === "unavailable" || directorsDown.has(directorIndex)) return STATE.unavailable;
  if (access === "transitioning") return STATE.transitioning;
  return directorIndex === owner ? STATE.activeOptimized : STATE.activeNonOptimized;
}

/** Parameter data of REPORT TARGET PORT GROUPS, in one of the two formats. */
export function targetPortGroupsData(ports: readonly TargetPort[], unit: UnitAccess, format: number): Uint8Array {
  const headerBytes = format === EXTENDED_HEADER_FORMAT ? 8 : 4;
  const length = headerBytes + ports.length * GROUP_BYTES;
  const data = new ParameterData(length).u32(0, length - 4);
  if (format === EXTENDED_HEADER_FORMAT) data.u8(4, EXTENDED_HEADER_FORMAT << 4); // IMPLICIT TRANSITION TIME 0: the default
  for (const [index, port] of ports.entries()) {
    const at = headerBytes + index * GROUP_BYTES;
    data
      .u8(at, (port.directorIndex === unit.owner ? PREFERRED : 0) | portState(port.directorIndex, unit))
      .u8(at + 1, SUPPORTED_STATES)
      .u16(at + 2, port.groupTag)
      .u8(at + 7, 1) // TARGET PORT COUNT
      .u16(at + 10, port.groupTag); // RELATIVE TARGET PORT IDENTIFIER
  }
  return data.bytes;
}
