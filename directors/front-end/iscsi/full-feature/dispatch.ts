/**
 * PDUs that are not on the data path: finds the one whose work it is, and delivers it in CmdSN's order where it has one.
 */

import { ahsBytesOf, cmdSNOf, initiatorTaskTagOf } from "../pdu/hot-path.ts";
import { OPCODE, RESERVED_TAG } from "../pdu/opcode.ts";
import { REJECT_REASON } from "../peer-error.ts";
import type { Session } from "../session.ts";
import { logout } from "./logout.ts";
import { nopOut, pingAnswered } from "./nop.ts";
import { taskManagementRequest } from "./task-management.ts";
import { textRequest } from "./text.ts";

/** What may wait behind a gap in CmdSN beside SCSI commands: each keeps its data. */
const HELD_BYTES_MAX = 65_536;

type Work = (session: Session, header: Buffer, data: Buffer) => void;

const WORK: ReadonlyMap<number, Work> = new Map<number, Work>([
  [OPCODE.nopOut, nopOut],
  [OPCODE.taskManagementRequest, taskManagementRequest],
  [OPCODE.textRequest, textRequest],
  [OPCODE.logoutRequest, logout],
]);

export function dispatch(session: Session, opcode: number, data: Buffer): void {
  const { header } = session;
  const work = WORK.get(opcode);
  if (work === undefined) {
    // A second login and a SNACK are understood, and wrong here: §11.12, §11.16 at ErrorRecoveryLevel 0.
    const known = opcode === OPCODE.loginRequest || opcode === OPCODE.snackRequest;
    session.reject(known ? REJECT_REASON.protocolError : REJECT_REASON.commandNotSupported, header, 0);
    return;
  }
  if (opcode === OPCODE.nopOut && initiatorTaskTagOf(header, 0) === RESERVED_TAG) {
    pingAnswered(session, header); // carries no CmdSN of its own, §11.18
    return;
  }
  const immediate = (header[0]! & 0x40) !== 0;
  const cmdSN = cmdSNOf(header, 0);
  if (ahsBytesOf(header, 0) > 0) {
    // It may have to wait for its turn, and the header lies in a buffer that is used again.
    const kept = Buffer.from(header);
    session.sequence(cmdSN, immediate, () => session.reject(REJECT_REASON.invalidPduField, kept, 0));
    return;
  }
  if (immediate || session.window.place(cmdSN) !== "ahead") {
    session.sequence(cmdSN, immediate, () => run(session, work, header, data));
    return;
  }
  if (data.length > HELD_BYTES_MAX / Math.max(1, session.window.heldCount)) {
    session.connection.drop("too much data behind a gap in CmdSN");
    return;
  }
  // Header and data lie in buffers that are used again.
  const keptHeader = Buffer.from(header);
  const keptData = Buffer.from(data);
  session.sequence(cmdSN, false, () => run(session, work, keptHeader, keptData));
}

function run(session: Session, work: Work, header: Buffer, data: Buffer): void {
  if (session.phase === "ended") return;
  if (session.phase === "loggingOut") {
    session.reject(REJECT_REASON.waitingForLogout, header, 0);
    return;
  }
  work(session, header, data);
}
