/**
 * The sessions of one director: TSIHs, the cap on their number, and session reinstatement (RFC 7143 §6.3.5).
 *
 * Runs on: the director's thread; one for each portal.
 * Invariants:
 *  1. At most one session for each initiator name and ISID: a login that repeats both waits until the old one has ended.
 *  2. A TSIH is not used again while its session exists, nor before all others were, in this life of the director or one before:
 *     units that nobody serves meanwhile remember the old nexus. A nexus is open exactly as long as its session.
 */
import { sameName } from "./login/access.ts";
import type { LoginIdentity } from "./login/login-conversation.ts";
import { LOGIN_STATUS, LoginError } from "./peer-error.ts";
import type { Session } from "./session.ts";

/** A login that is through, and waits for its place. */
export interface LoginCandidate {
  readonly identity: LoginIdentity;
  /** Its connection is still there: one that has gone must not end anybody's session. */
  stillThere(): boolean;
  /** There is room, and no session of that name and ISID is left. */
  ready(tsih: number): void;
  refuse(error: LoginError): void;
}

export class SessionRegistry {
  readonly #sessions = new Map<number, Session>();
  /** Discovery sessions too; by initiator name and ISID, of which there is one session at most (invariant 1). */
  readonly #byPort = new Map<string, Session>();
  readonly #sessionsMax: number;
  readonly #numbers: { last: number };
  /** What goes on when a session has ended. */
  readonly #waiting = new Map<Session, (() => void)[]>();

  /** @param numbers.last - the TSIH that was given last, kept for the director's next life; 0: none yet */
  constructor(sessionsMax: number, numbers: { last: number }) {
    this.#sessionsMax = sessionsMax;
    this.#numbers = numbers;
  }

  all(): Iterable<Session> {
    return this.#sessions.values();
  }

  get count(): number {
    return this.#sessions.size;
  }

  find(initiatorName: string, isid: string): Session | undefined {
    return this.#byPort.get(portKey(initiatorName, isid));
  }

  exists(initiatorName: string, isid: string, tsih: number): boolean {
    const session = this.#sessions.get(tsih);
    return session !== undefined && session.identity.isid === isid && sameName(session.identity.initiatorName, initiatorName);
  }

  makeRoom(candidate: LoginCandidate): void {
    if (!candidate.stillThere()) return;
    const { initiatorName, isid } = candidate.identity;
    const old = this.find(initiatorName, isid);
    if (old !== undefined) {
      // Another login of the same name may be quicker: looked at again when the old session has ended.
      const waiting = this.#waiting.get(old) ?? [];
      waiting.push(() => this.makeRoom(candidate));
      this.#waiting.set(old, waiting);
      old.connection.drop("session reinstatement");
      return;
    }
    if (this.#sessions.size >= this.#sessionsMax) {
      candidate.refuse(new LoginError(LOGIN_STATUS.outOfResources, "no room for another session"));
      return;
    }
    candidate.ready(this.#nextTsih());
  }

  #nextTsih(): number {
    let tsih = this.#numbers.last;
    do tsih = tsih >= 0xffff ? 1 : tsih + 1;
    while (this.#sessions.has(tsih));
    this.#numbers.last = tsih;
    return tsih;
  }

  add(session: Session): void {
    const { tsih, initiatorName, isid } = session.identity;
    this.#sessions.set(tsih, session);
    this.#byPort.set(portKey(initiatorName, isid), session);
  }

  /** @returns false when it was gone already */
  remove(session: Session): boolean {
    if (this.#sessions.get(session.identity.tsih) !== session) return false;
    const { tsih, initiatorName, isid } = session.identity;
    this.#sessions.delete(tsih);
    const key = portKey(initiatorName, isid);
    if (this.#byPort.get(key) === session) this.#byPort.delete(key);
    const waiting = this.#waiting.get(session) ?? [];
    this.#waiting.delete(session);
    for (const again of waiting) again();
    return true;
  }
}

/** Names compare without regard to case, as `sameName` has it. */
function portKey(initiatorName: string, isid: string): string {
  return `${initiatorName.toLowerCase()} ${isid}`;
}
