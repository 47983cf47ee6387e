/**
 * Text requests (RFC 7143 §11.10, §6.4): SendTargets, and what may be declared in full feature phase; both ways in pieces.
 *
 * Invariants:
 *  1. One exchange at a time for each session; a request without transfer tag begins a new one.
 *  2. Text kept is at most TEXT_BYTES_MAX, an exchange at most REQUESTS_MAX requests.
 */
import { isKeyName, KEYS } from "../login/keys.ts";
import { isAnswerConstant, parseNumber } from "../login/negotiation.ts";
import { formatText, parseText, type TextPair } from "../login/text-pairs.ts";
import { RESERVED_TAG } from "../pdu/opcode.ts";
import { TEXT_REQUEST } from "../pdu/text-request.ts";
import { TEXT_RESPONSE } from "../pdu/text-response.ts";
import { REJECT_REASON } from "../peer-error.ts";
import type { Session } from "../session.ts";
import { sendTargets } from "./send-targets.ts";

const TEXT_BYTES_MAX = 16_384;
const ANSWER_BYTES_MAX = 65_536;
const REQUESTS_MAX = 64;

export class TextExchange {
  transferTag = RESERVED_TAG;
  nextTag = 1;
  initiatorTaskTag = RESERVED_TAG;
  requests = 0;
  received: Buffer[] = [];
  receivedBytes = 0;
  /** What is left of an answer that did not fit one response. */
  answer: Buffer = Buffer.alloc(0);

  reset(): void {
    this.transferTag = RESERVED_TAG;
    this.requests = 0;
    this.received = [];
    this.receivedBytes = 0;
    this.answer = Buffer.alloc(0);
  }
}

export function textRequest(session: Session, header: Buffer, data: Buffer): void {
  const pdu = TEXT_REQUEST.decode(header);
  const { text } = session;
  if (pdu.targetTransferTag === RESERVED_TAG) {
    text.reset();
    text.initiatorTaskTag = pdu.initiatorTaskTag;
  } else if (pdu.targetTransferTag !== text.transferTag || pdu.initiatorTaskTag !== text.initiatorTaskTag) {
    session.reject(REJECT_REASON.invalidPduField, header, 0);
    return;
  }
  text.requests += 1;
  text.receivedBytes += data.length;
  if (text.requests > REQUESTS_MAX || text.receivedBytes > TEXT_BYTES_MAX || (pdu.final && pdu.continue)) {
    text.reset();
    session.reject(REJECT_REASON.protocolError, header, 0);
    return;
  }
  // An answer is under way: this request only fetches the next piece.
  if (text.answer.length > 0) {
    sendPiece(session, pdu);
    return;
  }
  if (data.length > 0) text.received.push(Buffer.from(data));
  if (pdu.continue) {
    respondEmpty(session, pdu);
    return;
  }
  const pairs = parseText(Buffer.concat(text.received));
  text.received = [];
  if (typeof pairs === "string") {
    text.reset();
    session.reject(REJECT_REASON.protocolError, header, 0);
    return;
  }
  const answer = formatText(answers(session, pairs));
  if (answer.length > ANSWER_BYTES_MAX) {
    text.reset();
    session.reject(REJECT_REASON.protocolError, header, 0);
    return;
  }
  text.answer = answer;
  sendPiece(session, pdu);
}

function answers(session: Session, pairs: readonly TextPair[]): TextPair[] {
  const found: TextPair[] = [];
  for (const { key, value } of pairs) {
    if (key === "SendTargets") found.push(...sendTargets(session, value));
    else if (!isKeyName(key)) {
      if (!isAnswerConstant(value)) found.push({ key, value: "NotUnderstood" });
    } else if (key === "MaxRecvDataSegmentLength") found.push(...declareSegment(session, value));
    else if (KEYS[key].use !== "ALL") found.push({ key, value: "Reject" });
  }
  return found;
}

/** §13.12: may be declared at any time, and is in force from then on. */
function declareSegment(session: Session, value: string): TextPair[] {
  const [least, greatest] = KEYS.MaxRecvDataSegmentLength.range;
  const declared = parseNumber(value);
  if (declared === undefined || declared < least || declared > greatest)
    return [{ key: "MaxRecvDataSegmentLength", value: "Reject" }];
  session.declareInitiatorSegment(declared);
  return [];
}

function respondEmpty(session: Session, pdu: TEXT_REQUEST): void {
  newTag(session);
  respond(session, pdu, { final: false, continue: false, data: Buffer.alloc(0) });
}

/** Sends as much of the answer as the initiator takes; C and a transfer tag say that there is more. */
function sendPiece(session: Session, pdu: TEXT_REQUEST): void {
  const { text } = session;
  const bytes = Math.min(text.answer.length, session.parameters.initiatorDataSegmentBytesMax, 8192);
  const data = text.answer.subarray(0, bytes);
  const more = bytes < text.answer.length;
  text.answer = text.answer.subarray(bytes);
  // An initiator that has not ended its side (F=0) may go on, and needs a tag for that.
  const final = !more && pdu.final;
  if (final) text.reset();
  else newTag(session);
  respond(session, pdu, { final, continue: more, data });
}

function newTag(session: Session): void {
  const { text } = session;
  text.transferTag = text.nextTag;
  text.nextTag = text.nextTag >= 0x7fffffff ? 1 : text.nextTag + 1;
}

function respond(
  session: Session,
  pdu: TEXT_REQUEST,
  piece: { readonly final: boolean; readonly continue: boolean; readonly data: Buffer },
): void {
  const { statSN, expCmdSN, maxCmdSN, tx, text } = session;
  const at = tx.beginHeader();
  TEXT_RESPONSE.encode(
    {
      final: piece.final,
      continue: piece.continue,
      lun: pdu.lun,
      dataSegmentLength: piece.data.length,
      initiatorTaskTag: pdu.initiatorTaskTag,
      targetTransferTag: text.transferTag,
      statSN,
      expCmdSN,
      maxCmdSN,
    },
    tx.slab,
    at,
  );
  session.advanceStatSN();
  session.endHeader();
  tx.data(piece.data);
}
