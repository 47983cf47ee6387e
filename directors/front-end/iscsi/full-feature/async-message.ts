/**
 * What the target tells a session unasked (RFC 7143 §11.9): that it is to log out, and that it is dropped.
 *
 * Of SCSI events (code 0) there are none: hosts learn of them by unit attention, as SPC-4 has no other way any more.
 */
import { ASYNC_MESSAGE } from "../pdu/async-message.ts";
import { RESERVED_TAG } from "../pdu/opcode.ts";
import type { Session } from "../session.ts";

const ASYNC_EVENT = { targetRequestsLogout: 1, connectionDropped: 2, sessionDropped: 3 } as const;

/** The host has so many seconds to do it. From then on new commands are rejected. */
export function askLogout(session: Session, seconds: number): void {
  if (session.phase !== "open" || session.nop.logoutAsked) return;
  session.nop.logoutAsked = true;
  tell(session, { asyncEvent: ASYNC_EVENT.targetRequestsLogout, parameter3: seconds });
}

/** It did not: its connection is closed, and it may come again after Time2Wait. */
export function tellConnectionDropped(session: Session): void {
  tell(session, { asyncEvent: ASYNC_EVENT.connectionDropped, parameter1: session.identity.cid, ...timesOf(session) });
}

/** The session is ended, with all its connections. */
export function tellSessionDropped(session: Session): void {
  tell(session, { asyncEvent: ASYNC_EVENT.sessionDropped, ...timesOf(session) });
}

function timesOf({ parameters }: Session): Pick<Partial<ASYNC_MESSAGE>, "parameter2" | "parameter3"> {
  return { parameter2: parameters.defaultTime2Wait, parameter3: parameters.defaultTime2Retain };
}

function tell(session: Session, event: Partial<ASYNC_MESSAGE>): void {
  if (session.phase === "ended") return;
  const { statSN, expCmdSN, maxCmdSN, tx } = session;
  const at = tx.beginHeader();
  ASYNC_MESSAGE.encode({ final: true, initiatorTaskTag: RESERVED_TAG, statSN, expCmdSN, maxCmdSN, ...event }, tx.slab, at);
  session.advanceStatSN();
  session.endHeader();
}
