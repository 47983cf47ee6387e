/**
 * Login Request. RFC 7143 §11.12.
 */
import { type BhsOf, bits, defineBhs, flag, hex, u8, u16, u32 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const LOGIN_REQUEST = defineBhs("Login Request", OPCODE.loginRequest, {
  transit: flag(1, 7),
  continue: flag(1, 6),
  currentStage: bits(1, 2, 2),
  nextStage: bits(1, 0, 2),
  versionMax: u8(2),
  versionMin: u8(3),
  isid: hex(8, 6),
  tsih: u16(14),
  initiatorTaskTag: u32(16),
  cid: u16(20),
  cmdSN: u32(24),
  expStatSN: u32(28),
});
export type LOGIN_REQUEST = BhsOf<typeof LOGIN_REQUEST>;
