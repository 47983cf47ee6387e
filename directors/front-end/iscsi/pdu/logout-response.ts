/**
 * Logout Response. RFC 7143 §11.15.
 */
import { type BhsOf, defineBhs, flag, u8, u16, u32 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const LOGOUT_RESPONSE = defineBhs("Logout Response", OPCODE.logoutResponse, {
  final: flag(1, 7),
  response: u8(2),
  initiatorTaskTag: u32(16),
  statSN: u32(24),
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
  time2Wait: u16(40), // seconds
  time2Retain: u16(42), // seconds
});
export type LOGOUT_RESPONSE = BhsOf<typeof LOGOUT_RESPONSE>;
