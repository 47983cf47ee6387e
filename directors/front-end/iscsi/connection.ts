/**
 * One TCP connection: login first, then one session; what happens between its socket and either.
 *
 *   login ──LoginConversation completes──► (reinstatement: waits for the old session) ──► fullFeature ──► closing ──► closed
 *
 * Runs on: the director's thread. Owns: receiver, transmitter, and the reasons for which the socket is held back.
 * Invariants:
 *  1. Before login ends at most LOGIN_BYTES_MAX bytes are taken, and nothing is kept but one login's text.
 *  2. No session is made before the old one of the same initiator name and ISID has ended.
 *  3. Digests come into force with the first PDU after the last login response, both ways (§6.3).
 */
import { observe } from "../../../drivers/shared-memory/counters.ts";
import { ConnectionArrival } from "../arrival-watch.ts";
import { FRONT_END_COUNTERS, KIND } from "../front-end-counters.ts";
import type { ByteStream } from "./byte-stream.ts";
import type { FrontEndServices, HoldReason, SessionConnection } from "./front-end-services.ts";
import { tellSessionDropped } from "./full-feature/async-message.ts";
import { watchIdle } from "./full-feature/nop.ts";
import { type LoginAnswer, LoginConversation, type LoginEnvironment, type LoginIdentity } from "./login/login-conversation.ts";
import type { SessionParameters } from "./login/negotiation.ts";
import { BHS_BYTES } from "./pdu/define-bhs.ts";
import { LOGIN_REQUEST } from "./pdu/login-request.ts";
import { LOGIN_RESPONSE } from "./pdu/login-response.ts";
import { OPCODE } from "./pdu/opcode.ts";
import { LOGIN_STATUS, LoginError } from "./peer-error.ts";
import { DATA, type DataDisposition, type PduHandler, type ReceiveFault, Receiver } from "./receiver.ts";
import { addSN, nextSN } from "./serial-number.ts";
import { Session } from "./session.ts";
import type { LoginCandidate } from "./session-registry.ts";
import type { SlabPool } from "./slab-pool.ts";
import { Transmitter, type TransmitterHost } from "./transmitter.ts";

const C = FRONT_END_COUNTERS.slots;
const LOGIN_BYTES_MAX = 65_536;
/** A peer that was told to go has this long to close its side. */
const CLOSE_SECONDS = 1;
/** How long a login waits for the session that it replaces. */
const REINSTATEMENT_SECONDS = 15;

/** What a connection asks of its portal. */
export interface ConnectionHost {
  readonly services: FrontEndServices;
  readonly slabs: SlabPool;
  readonly loginTimeoutSeconds: number;
  loginEnvironment(): LoginEnvironment;
  /** Gives the login its place among the sessions: now, later, or not. */
  makeRoom(candidate: LoginCandidate): void;
  sessionOpened(session: Session): void;
  loginRefused(address: string, initiatorName: string, error: LoginError): void;
  /** Asks for `flush` at the end of this turn. */
  deferFlush(flush: () => void): void;
  dropped(address: string, initiatorName: string, why: string): void;
}

type Phase = "login" | "waiting" | "fullFeature" | "closing" | "closed";

export class Connection implements PduHandler, TransmitterHost, SessionConnection {
  readonly stream: ByteStream;
  readonly address: string;
  readonly slabs: SlabPool;
  readonly #host: ConnectionHost;
  readonly #receiver: Receiver;
  readonly tx: Transmitter;
  #phase: Phase = "login";
  #conversation: LoginConversation | undefined = undefined;
  #session: Session | undefined = undefined;
  readonly #openedAt: number;
  #loginBytes = 0;
  readonly #loginHeader = Buffer.alloc(BHS_BYTES);
  #statSN = 0;
  #holds = 0;
  readonly #arrival: ConnectionArrival;
  #phaseUntil = 0;
  #ended = false;
  #stalledSince = 0;
  #batchesSeen = 0;
  readonly #flush = (): void => {
    if (!this.#ended) this.tx.flush();
  };

  constructor(host: ConnectionHost, stream: ByteStream, address: string) {
    this.#host = host;
    this.stream = stream;
    this.address = address;
    this.slabs = host.slabs;
    this.#receiver = new Receiver(this);
    this.tx = new Transmitter(this);
    this.#openedAt = host.services.nowMicroseconds();
    this.#arrival = new ConnectionArrival(host.services.arrivals);
  }

  get global(): FrontEndServices["global"] {
    return this.#host.services.global;
  }

  get frames(): FrontEndServices["frames"] {
    return this.#host.services.frames;
  }

  get session(): Session | undefined {
    return this.#session;
  }

  get #counters(): Float64Array {
    return this.#host.services.counters;
  }

  // — from the socket —

  received(chunk: Buffer): void {
    if (this.#phase === "closing" || this.#phase === "closed") return;
    this.#counters[C.bytesIn]! += chunk.length;
    if (this.#phase === "login") {
      this.#loginBytes += chunk.length;
      if (this.#loginBytes > LOGIN_BYTES_MAX) {
        this.drop("too many bytes before login ended");
        return;
      }
    } else if (this.#phase === "waiting") {
      // Read on, or its close would not be seen; but an initiator has nothing to say before it is answered.
      this.drop("bytes before the login response");
      return;
    } else if (this.#session !== undefined) {
      this.#session.nop.heardAt = this.#host.services.nowMicroseconds();
    }
    const { length } = chunk;
    this.#receiver.feed(chunk);
    this.#arrival.read(length, this.#holds !== 0);
  }

  get arrivedMicroseconds(): number {
    return this.#arrival.earliestMicroseconds;
  }

  /** The socket is closed, by either side. */
  closed(): void {
    if (this.#phase === "closed") return;
    this.#phase = "closed";
    this.#ended = true;
    this.#receiver.stop();
    this.#session?.end();
    this.tx.close();
  }

  // — PDUs —

  onHeader(header: Buffer, at: number, ahsBytes: number, dataBytes: number): DataDisposition {
    this.#counters[C.pdusIn]! += 1;
    if (this.#session !== undefined) return this.#session.onHeader(header, at, ahsBytes, dataBytes);
    if (this.#phase !== "login") {
      this.drop("a PDU before the login response");
      return DATA.discard;
    }
    header.copy(this.#loginHeader, 0, at, at + BHS_BYTES);
    if ((header[at]! & 0x3f) === OPCODE.loginRequest) return DATA.collect;
    // §6.3: before the first login request nothing else is answered; later it ends the login.
    if (this.#conversation === undefined) this.drop("the first PDU is no login request");
    else this.#refuse(new LoginError(LOGIN_STATUS.invalidDuringLogin, "a PDU that is no login request"));
    return DATA.discard;
  }

  onData(chunk: Buffer, start: number, end: number): void {
    this.#session?.onData(chunk, start, end);
  }

  onEnd(data: Buffer, digestGood: boolean): void {
    if (this.#session !== undefined) this.#session.onEnd(data, digestGood);
    else if (this.#phase === "login") this.#login(data);
  }

  onFault(fault: ReceiveFault): void {
    if (fault === "headerDigest") this.#counters[C.headerDigestErrors]! += 1;
    this.drop(fault === "headerDigest" ? "header digest error" : "data segment over MaxRecvDataSegmentLength");
  }

  // — login —

  #login(data: Buffer): void {
    const pdu = LOGIN_REQUEST.decode(this.#loginHeader);
    if (this.#conversation === undefined) {
      this.#conversation = new LoginConversation(this.#host.loginEnvironment());
      this.#statSN = pdu.expStatSN;
    }
    const answer = this.#conversation.request(pdu, data);
    if (answer.kind === "refuse") {
      this.#refuse(answer.error);
      return;
    }
    if (answer.complete === undefined) {
      this.#respond(pdu, answer, 0);
      return;
    }
    const { identity, parameters } = answer.complete;
    this.#phase = "waiting";
    this.#phaseUntil = this.#host.services.nowMicroseconds() + REINSTATEMENT_SECONDS * 1e6;
    this.#host.makeRoom({
      identity,
      stillThere: () => this.#phase === "waiting",
      ready: (tsih) => this.#begin(pdu, answer, { ...identity, tsih }, parameters),
      refuse: (error) => this.#refuse(error),
    });
  }

  #begin(
    pdu: LOGIN_REQUEST,
    answer: Extract<LoginAnswer, { kind: "respond" }>,
    identity: LoginIdentity,
    parameters: SessionParameters,
  ): void {
    this.#respond(pdu, answer, identity.tsih);
    this.#phase = "fullFeature";
    this.tx.headerDigest = parameters.headerDigest;
    this.tx.dataDigest = parameters.dataDigest;
    this.#receiver.headerDigest = parameters.headerDigest;
    this.#receiver.dataDigest = parameters.dataDigest;
    this.#receiver.dataBytesMax = parameters.targetDataSegmentBytesMax;
    this.#session = new Session({
      services: this.#host.services,
      connection: this,
      identity: {
        ...identity,
        address: this.address,
        localAddress: this.stream.localAddress ?? "",
        since: new Date().toISOString(),
      },
      parameters,
      receiver: this.#receiver,
      transmitter: this.tx,
      firstCmdSN: pdu.cmdSN,
      nextStatSN: this.#statSN,
    });
    this.#counters[C.loginsGood]! += 1;
    this.#host.sessionOpened(this.#session);
  }

  #respond(pdu: LOGIN_REQUEST, answer: Extract<LoginAnswer, { kind: "respond" }>, tsih: number): void {
    const at = this.tx.beginHeader();
    LOGIN_RESPONSE.encode(
      {
        transit: answer.transit,
        currentStage: answer.currentStage,
        nextStage: answer.nextStage,
        dataSegmentLength: answer.text.length,
        isid: pdu.isid,
        tsih,
        initiatorTaskTag: pdu.initiatorTaskTag,
        statSN: this.#statSN,
        expCmdSN: pdu.cmdSN,
        maxCmdSN: addSN(pdu.cmdSN, this.#host.services.limits.commandWindow - 1),
      },
      this.tx.slab,
      at,
    );
    this.#statSN = nextSN(this.#statSN);
    this.tx.endHeader();
    this.tx.data(answer.text);
    this.#counters[C.pdusOut]! += 1;
  }

  #refuse(error: LoginError): void {
    const pdu = LOGIN_REQUEST.decode(this.#loginHeader);
    const at = this.tx.beginHeader();
    LOGIN_RESPONSE.encode(
      {
        currentStage: pdu.currentStage,
        nextStage: pdu.nextStage,
        isid: pdu.isid,
        tsih: pdu.tsih,
        initiatorTaskTag: pdu.initiatorTaskTag,
        expCmdSN: pdu.cmdSN,
        maxCmdSN: pdu.cmdSN,
        statusClass: error.status >> 8,
        statusDetail: error.status & 0xff,
      },
      this.tx.slab,
      at,
    );
    this.tx.endHeader();
    this.#counters[C.pdusOut]! += 1;
    this.#counters[C.loginsRefused]! += 1;
    this.#host.loginRefused(this.address, this.#conversation?.initiatorName ?? "", error);
    this.finish();
  }

  // — holding back, and ending —

  hold(reason: HoldReason): void {
    if (this.#holds === 0) {
      this.#arrival.held();
      this.#receiver.pause();
      this.stream.pause();
    }
    this.#holds |= reason;
  }

  unhold(reason: HoldReason): void {
    if ((this.#holds & reason) === 0) return;
    this.#holds &= ~reason;
    if (this.#holds !== 0) return;
    this.#receiver.resume();
    // What was kept may have asked for a halt again.
    if (this.#holds === 0 && this.#phase !== "closed") this.stream.resume();
  }

  finish(): void {
    if (this.#phase === "closing" || this.#phase === "closed") return;
    this.#phase = "closing";
    this.#phaseUntil = this.#host.services.nowMicroseconds() + CLOSE_SECONDS * 1e6;
    this.#receiver.stop();
    this.tx.flush();
    this.#endWhenSent();
    // The peer's FIN is only seen by a socket that reads.
    this.stream.resume();
  }

  #endWhenSent(): void {
    if (this.#phase !== "closing" || this.#ended || !this.tx.idle) return;
    this.#ended = true;
    this.stream.end();
  }

  dismiss(why: string): void {
    const session = this.#session;
    if (session === undefined || this.#phase !== "fullFeature") {
      this.drop(why);
      return;
    }
    this.#toldDropped(why);
    tellSessionDropped(session);
    this.finish();
  }

  #toldDropped(why: string): void {
    this.#counters[C.connectionsDropped]! += 1;
    this.#session?.endsBecause(`dropped: ${why}`);
    this.#host.dropped(this.address, this.#session?.identity.initiatorName ?? this.#conversation?.initiatorName ?? "", why);
  }

  drop(why: string): void {
    if (this.#phase === "closed" || this.#ended) return;
    this.#toldDropped(why);
    this.#ended = true;
    this.#receiver.stop();
    this.stream.destroy();
  }

  /** Called a few times a second. */
  tick(now: number): void {
    this.#arrival.tick(this.#holds !== 0);
    switch (this.#phase) {
      case "login":
        if (now - this.#openedAt < this.#host.loginTimeoutSeconds * 1e6) return;
        this.#counters[C.loginsTimedOut]! += 1;
        this.drop("login timeout");
        return;
      case "waiting":
        if (now >= this.#phaseUntil) this.#refuse(new LoginError(LOGIN_STATUS.outOfResources, "the old session does not end"));
        return;
      case "closing":
        if (now >= this.#phaseUntil && this.#sendStalled(now, CLOSE_SECONDS)) this.stream.destroy();
        return;
      case "fullFeature":
        this.#tickSession(this.#session!, now);
        return;
      case "closed":
    }
  }

  #tickSession(session: Session, now: number): void {
    const { limits } = this.#host.services;
    if (this.tx.sending && this.#sendStalled(now, limits.sendStallSeconds)) {
      this.drop("it takes no answers");
      return;
    }
    if (!this.tx.sending) this.#stalledSince = now;
    session.frameQueue.tick(now);
    if (session.window.heldCount > 0 && now - session.gapSince > limits.commandGapSeconds * 1e6) {
      this.drop("a gap in CmdSN was not filled");
      return;
    }
    // While the socket is held back nothing can be heard.
    if (this.#holds !== 0) session.nop.heardAt = now;
    else watchIdle(session, now);
  }

  #sendStalled(now: number, seconds: number): boolean {
    if (this.tx.batchesSent !== this.#batchesSeen || this.#stalledSince === 0) {
      this.#batchesSeen = this.tx.batchesSent;
      this.#stalledSince = now;
    }
    return now - this.#stalledSince >= seconds * 1e6;
  }

  // — from the transmitter —

  wantsFlush(): void {
    this.#host.deferFlush(this.#flush);
  }

  handedOver(bytes: number, kinds: readonly number[], receivedAt: readonly number[]): void {
    const counters = this.#counters;
    counters[C.bytesOut]! += bytes;
    if (kinds.length === 0) return;
    const now = this.#host.services.nowMicroseconds();
    for (let i = 0; i < kinds.length; i += 1) {
      if (kinds[i] === KIND.read) observe(counters, C.readLatency, now - receivedAt[i]!);
      else if (kinds[i] === KIND.write) observe(counters, C.writeLatency, now - receivedAt[i]!);
    }
  }

  drained(): void {
    this.#endWhenSent();
    if (this.#phase === "fullFeature") this.#session!.drained();
  }
}
