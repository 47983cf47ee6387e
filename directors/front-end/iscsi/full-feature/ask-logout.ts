/** Asynchronous Message 1: the target asks for a logout (RFC 7143 §11.9.1). From then on new commands are rejected. */
import { ASYNC_MESSAGE } from "../pdu/async-message.ts";
import { RESERVED_TAG } from "../pdu/opcode.ts";
import type { Session } from "../session.ts";

const TARGET_REQUESTS_LOGOUT = 1;

export function askLogout(session: Session, seconds: number): void {
  if (session.phase !== "open" || session.nop.logoutAsked) return;
  session.nop.logoutAsked = true;
  const { statSN, expCmdSN, maxCmdSN, tx } = session;
  const at = tx.beginHeader();
  ASYNC_MESSAGE.encode(
    {
      final: true,
      initiatorTaskTag: RESERVED_TAG,
      statSN,
      expCmdSN,
      maxCmdSN,
      asyncEvent: TARGET_REQUESTS_LOGOUT,
      parameter3: seconds,
    },
    tx.slab,
    at,
  );
  session.advanceStatSN();
  session.endHeader();
}
