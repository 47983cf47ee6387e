/**
 * Login Response. RFC 7143 §11.13.
 */
import { type BhsOf, bits, defineBhs, flag, hex, u8, u16, u32 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const LOGIN_RESPONSE = defineBhs("Login Response", OPCODE.loginResponse, {
  transit: flag(1, 7),
  continue: flag(1, 6),
  currentStage: bits(1, 2, 2),
  nextStage: bits(1, 0, 2),
  versionMax: u8(2),
  versionActive: u8(3),
  isid: hex(8, 6),
  tsih: u16(14),
  initiatorTaskTag: u32(16),
  statSN: u32(24),
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
  statusClass: u8(36),
  statusDetail: u8(37),
});
export type LOGIN_RESPONSE = BhsOf<typeof LOGIN_RESPONSE>;
