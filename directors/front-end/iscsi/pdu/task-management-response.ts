/**
 * Task Management Function Response. RFC 7143 §11.6.
 */
import { type BhsOf, defineBhs, flag, u8, u32 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const TASK_MANAGEMENT_RESPONSE = defineBhs("Task Management Function Response", OPCODE.taskManagementResponse, {
  final: flag(1, 7),
  response: u8(2),
  initiatorTaskTag: u32(16),
  statSN: u32(24),
  expCmdSN: u32(28),
  maxCmdSN: u32(32),
});
export type TASK_MANAGEMENT_RESPONSE = BhsOf<typeof TASK_MANAGEMENT_RESPONSE>;
