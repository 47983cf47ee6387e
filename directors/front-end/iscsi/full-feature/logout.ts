/**
 * Logout (RFC 7143 §11.14): tasks that collect data are dropped, those at the server are waited for, then it is answered and
 * the connection closed.
 */

import { LOGOUT_REQUEST } from "../pdu/logout-request.ts";
import { LOGOUT_RESPONSE } from "../pdu/logout-response.ts";
import { REJECT_REASON } from "../peer-error.ts";
import type { Session } from "../session.ts";
import { TaskManagement } from "./task-management.ts";

const REASON = { closeSession: 0, closeConnection: 1, removeForRecovery: 2 } as const;
/** §11.15.1. */
const RESPONSE = { closed: 0, cidNotFound: 1, recoveryNotSupported: 2 } as const;

export function logout(session: Session, header: Buffer): void {
  const pdu = LOGOUT_REQUEST.decode(header);
  if (pdu.reason > REASON.removeForRecovery) {
    session.reject(REJECT_REASON.invalidPduField, header, 0);
    return;
  }
  if (pdu.reason === REASON.removeForRecovery) {
    answer(session, pdu, RESPONSE.recoveryNotSupported);
    return;
  }
  if (pdu.reason === REASON.closeConnection && pdu.cid !== session.identity.cid) {
    answer(session, pdu, RESPONSE.cidNotFound);
    return;
  }
  session.phase = "loggingOut";
  session.endsBecause("the host logged out");
  TaskManagement.start(session, {
    tasks: [...session.tasks.values()],
    done: () => {
      if (session.phase !== "loggingOut") return;
      answer(session, pdu, RESPONSE.closed);
      session.connection.finish();
    },
  });
}

function answer(session: Session, pdu: LOGOUT_REQUEST, response: number): void {
  const { statSN, expCmdSN, maxCmdSN, tx, parameters } = session;
  const at = tx.beginHeader();
  LOGOUT_RESPONSE.encode(
    {
      final: true,
      response,
      initiatorTaskTag: pdu.initiatorTaskTag,
      statSN,
      expCmdSN,
      maxCmdSN,
      time2Wait: parameters.defaultTime2Wait,
      time2Retain: parameters.defaultTime2Retain,
    },
    tx.slab,
    at,
  );
  session.advanceStatSN();
  session.endHeader();
}
