/**
 * Task Management Function Request. RFC 7143 §11.5.
 */
import { type BhsOf, bits, defineBhs, flag, u32, u64 } from "./define-bhs.ts";
import { OPCODE } from "./opcode.ts";

export const TASK_MANAGEMENT_REQUEST = defineBhs("Task Management Function Request", OPCODE.taskManagementRequest, {
  final: flag(1, 7),
  function: bits(1, 0, 7),
  lun: u64(8),
  initiatorTaskTag: u32(16),
  referencedTaskTag: u32(20),
  cmdSN: u32(24),
  expStatSN: u32(28),
  refCmdSN: u32(32),
  expDataSN: u32(36),
});
export type TASK_MANAGEMENT_REQUEST = BhsOf<typeof TASK_MANAGEMENT_REQUEST>;
