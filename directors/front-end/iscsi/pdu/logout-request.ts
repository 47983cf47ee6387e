/**
 * Logout Request. RFC 7143 §11.14.
 */
import { type BhsOf, bits, defineBhs, flag, u16, u32 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const LOGOUT_REQUEST = defineBhs("Logout Request", OPCODE.logoutRequest, {
  final: flag(1, 7),
  reason: bits(1, 0, 7),
  initiatorTaskTag: u32(16),
  cid: u16(20),
  cmdSN: u32(24),
  expStatSN: u32(28),
});
export type LOGOUT_REQUEST = BhsOf<typeof LOGOUT_REQUEST>;
