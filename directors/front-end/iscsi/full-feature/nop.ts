/**
 * NOP-Out and NOP-In (RFC 7143 §11.18, §11.19): answers pings, and pings a peer that has been quiet.
 */

import { initiatorTaskTagOf, targetTransferTagOf } from "../pdu/hot-path.ts";
import { NOP_IN } from "../pdu/nop-in.ts";
import { RESERVED_TAG } from "../pdu/opcode.ts";
import { REJECT_REASON } from "../peer-error.ts";
import type { Session } from "../session.ts";

export class NopState {
  /** Something came from the peer. */
  heardAt: number;
  pingTag: number | undefined = undefined;
  nextTag = 1;
  /** We asked for a logout by an Asynchronous Message: no new command is taken. */
  logoutAsked = false;

  constructor(now: number) {
    this.heardAt = now;
  }
}

/** A ping: its data comes back, as much as the initiator can take. */
export function nopOut(session: Session, header: Buffer, data: Buffer): void {
  const { statSN, expCmdSN, maxCmdSN, tx } = session;
  const bytes = Math.min(data.length, session.parameters.initiatorDataSegmentBytesMax);
  // The segment may lie in a receive buffer; the copy lives until it is sent.
  const echo = bytes > 4096 ? Buffer.from(data.subarray(0, bytes)) : data.subarray(0, bytes);
  const at = tx.beginHeader();
  NOP_IN.encode(
    {
      final: true,
      dataSegmentLength: bytes,
      initiatorTaskTag: initiatorTaskTagOf(header, 0),
      targetTransferTag: RESERVED_TAG,
      statSN,
      expCmdSN,
      maxCmdSN,
    },
    tx.slab,
    at,
  );
  session.advanceStatSN();
  session.endHeader();
  tx.data(echo);
}

/** A NOP-Out without task tag: the answer to a ping of ours, or mere news of ExpStatSN. */
export function pingAnswered(session: Session, header: Buffer): void {
  const tag = targetTransferTagOf(header, 0);
  if (tag === RESERVED_TAG) return;
  if (tag !== session.nop.pingTag) {
    session.reject(REJECT_REASON.invalidPduField, header, 0);
    return;
  }
  session.nop.pingTag = undefined;
}

function ping(session: Session): void {
  const { nop, tx, statSN, expCmdSN, maxCmdSN } = session;
  nop.pingTag = nop.nextTag;
  nop.nextTag = nop.nextTag >= 0x7fffffff ? 1 : nop.nextTag + 1;
  const at = tx.beginHeader();
  // §11.19: StatSN is the next one, and not advanced.
  NOP_IN.encode(
    { final: true, initiatorTaskTag: RESERVED_TAG, targetTransferTag: nop.pingTag, statSN, expCmdSN, maxCmdSN },
    tx.slab,
    at,
  );
  session.endHeader();
}

/** Once a tick: pings a quiet peer, drops a silent one. */
export function watchIdle(session: Session, now: number): void {
  const { limits } = session.services;
  const quietSeconds = (now - session.nop.heardAt) / 1e6;
  if (quietSeconds >= limits.idleTimeoutSeconds) {
    session.connection.drop("idle: no answer to a ping");
    return;
  }
  if (quietSeconds >= limits.idlePingSeconds && session.nop.pingTag === undefined && session.phase === "open") ping(session);
}
