/**
 * Asynchronous Message: what the target tells unasked. RFC 7143 §11.9.
 */
import { type BhsOf, defineBhs, flag, u8, u16, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const ASYNC_MESSAGE = defineBhs("Asynchronous Message", OPCODE.asyncMessage, {
  final: flag(1, 7),
  lun: u64(8),
  initiatorTaskTag: u32(16), // always the reserved tag
  statSN: u32(24),
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
  asyncEvent: u8(36),
  asyncVCode: u8(37),
  parameter1: u16(38),
  parameter2: u16(40),
  parameter3: u16(42),
});
export type ASYNC_MESSAGE = BhsOf<typeof ASYNC_MESSAGE>;
