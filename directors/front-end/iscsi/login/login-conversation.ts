/**
 * The login phase of one connection, as the target sees it (RFC 7143 §6.3).
 *
 *   start ──first request──► security ──T, NSG=operational──► operational ──T, NSG=3──► fullFeature
 *      └──CSG=operational, nothing to prove──────────────────────►┘
 *                             └──T, NSG=3 (security alone)────────────────────────────►┘
 *
 * Pure but for the challenge's randomness: takes requests, returns answers; sockets, timers and sessions are the
 * connection's. Only `#move` assigns the state.
 * Invariants:
 *  1. No state after security is reached before the initiator is admitted and has proved what its host entry asks for.
 *  2. Text kept is at most TEXT_BYTES_MAX; one login takes at most REQUESTS_MAX requests.
 *  3. No key is taken twice (§6.1); every answer text fits one response.
 */
import { randomBytes } from "node:crypto";
import type { LOGIN_REQUEST } from "../pdu/login-request.ts";
import { LOGIN_STATUS, LoginError } from "../peer-error.ts";
import { type Access, admit, sameName } from "./access.ts";
import { type Challenge, checkProof, makeChallenge, refuseMutual } from "./chap.ts";
import { isKeyName, KEYS, type KeyName, type KeySpec } from "./keys.ts";
import { isAnswerConstant, Negotiation, type Offers, type SessionParameters } from "./negotiation.ts";
import { formatText, parseText, type TextPair } from "./text-pairs.ts";

const TEXT_BYTES_MAX = 16_384;
const REQUESTS_MAX = 64;
/** MaxRecvDataSegmentLength of every peer during login, §13.12. */
const RESPONSE_BYTES_MAX = 8192;

export type Stage = "security" | "operational" | "fullFeature";
/** CSG and NSG as they are coded, §11.12.3. */
const STAGE_CODE = { security: 0, operational: 1, fullFeature: 3 } as const satisfies Record<Stage, number>;
const STAGE_OF: Readonly<Record<number, Stage>> = { 0: "security", 1: "operational", 3: "fullFeature" };
/** CSG → NSG, §6.3. A peer asking for more gets 0200. */
const NEXT = {
  security: ["operational", "fullFeature"],
  operational: ["fullFeature"],
  fullFeature: [],
} as const satisfies Record<Stage, readonly Stage[]>;

type Authentication =
  | { readonly at: "open" }
  | { readonly at: "chapChosen" }
  | { readonly at: "challenged"; readonly challenge: Challenge }
  | { readonly at: "done" };

type LoginState =
  | { readonly stage: "start" }
  | { readonly stage: "security"; readonly authentication: Authentication }
  | { readonly stage: "operational" }
  | { readonly stage: "fullFeature" };

/** The states that each state may turn into. */
const MOVES = {
  start: ["security", "operational"],
  security: ["security", "operational", "fullFeature"],
  operational: ["fullFeature"],
  fullFeature: [],
} as const satisfies Record<LoginState["stage"], readonly LoginState["stage"][]>;

export interface LoginIdentity {
  readonly initiatorName: string;
  readonly initiatorAlias: string;
  readonly discovery: boolean;
  readonly isid: string;
  readonly tsih: number;
  readonly cid: number;
}

export interface LoginEnvironment {
  readonly access: Access;
  /** Unlisted initiators are refused even where the array document would take them (portals beyond loopback). */
  readonly listedOnly: boolean;
  readonly portalGroupTag: number;
  readonly targetAlias: string;
  readonly offers: Offers;
  /** Does the TSIH name a session of this initiator and ISID? */
  sessionExists(initiatorName: string, isid: string, tsih: number): boolean;
  random?(bytes: number): Buffer;
}

export type LoginAnswer =
  | {
      readonly kind: "respond";
      readonly transit: boolean;
      readonly currentStage: number;
      readonly nextStage: number;
      readonly text: Buffer;
      /** Set when the login is through: the connection makes the session, then sends this answer. */
      readonly complete: { readonly identity: LoginIdentity; readonly parameters: SessionParameters } | undefined;
    }
  | { readonly kind: "refuse"; readonly error: LoginError };

export class LoginConversation {
  readonly #environment: LoginEnvironment;
  readonly #negotiation: Negotiation;
  #state: LoginState = { stage: "start" };
  #first: LOGIN_REQUEST | undefined = undefined;
  #requests = 0;
  #text: Buffer[] = [];
  #textBytes = 0;
  readonly #seen = new Set<string>();
  #chap: { readonly user: string; readonly secret: string } | undefined = undefined;
  #identity: LoginIdentity | undefined = undefined;
  #progressed = false;

  constructor(environment: LoginEnvironment) {
    this.#environment = environment;
    this.#negotiation = new Negotiation(environment.offers);
  }

  /** The initiator's name as far as it is known: for events. */
  get initiatorName(): string {
    return this.#identity?.initiatorName ?? "";
  }

  request(pdu: LOGIN_REQUEST, data: Buffer): LoginAnswer {
    try {
      return this.#request(pdu, data);
    } catch (error) {
      if (error instanceof LoginError) return { kind: "refuse", error };
      throw error;
    }
  }

  #request(pdu: LOGIN_REQUEST, data: Buffer): LoginAnswer {
    const stage = this.#checkHeader(pdu);
    this.#keepText(data);
    if (pdu.continue) return this.#respond(pdu, stage, false, []);
    const pairs = parseText(Buffer.concat(this.#text));
    this.#text = [];
    this.#textBytes = 0;
    if (typeof pairs === "string") throw new LoginError(LOGIN_STATUS.initiatorError, `login text: ${pairs}`);

    const answers: TextPair[] = [];
    if (this.#identity === undefined) this.#identify(pdu, pairs, answers);
    this.#enter(stage);
    this.#progressed = false;
    this.#takeKeys(stage, pairs, answers);
    if (stage === "operational" && !this.#negotiation.declaredSegment) {
      this.#negotiation.declaredSegment = true;
      answers.push({ key: "MaxRecvDataSegmentLength", value: String(this.#environment.offers.maxRecvDataSegmentBytes) });
    }
    return this.#respond(pdu, stage, this.#mayTransit(pdu), answers);
  }

  // — shape of the request —

  #checkHeader(pdu: LOGIN_REQUEST): Stage {
    const wrong = (why: string): LoginError => new LoginError(LOGIN_STATUS.initiatorError, `login request: ${why}`);
    this.#requests += 1;
    if (this.#requests > REQUESTS_MAX) throw wrong("too many");
    if (pdu.versionMin > 0)
      throw new LoginError(LOGIN_STATUS.unsupportedVersion, `version ${pdu.versionMin} is the least that it takes`);
    if (pdu.totalAHSLength !== 0) throw wrong("additional header segments");
    const first = this.#first ?? pdu;
    this.#first = first;
    if (
      pdu.isid !== first.isid ||
      pdu.tsih !== first.tsih ||
      pdu.cid !== first.cid ||
      pdu.initiatorTaskTag !== first.initiatorTaskTag
    ) {
      throw wrong("ISID, TSIH, CID or task tag changed");
    }
    const stage = STAGE_OF[pdu.currentStage];
    if (stage === undefined || stage === "fullFeature") throw wrong(`CSG ${pdu.currentStage}`);
    if (this.#state.stage !== "start" && this.#state.stage !== stage) throw wrong(`CSG ${stage} in stage ${this.#state.stage}`);
    if (pdu.transit) {
      const next = STAGE_OF[pdu.nextStage];
      if (pdu.continue) throw wrong("both T and C");
      if (next === undefined || !(NEXT[stage] as readonly Stage[]).includes(next))
        throw wrong(`NSG ${pdu.nextStage} after CSG ${stage}`);
    }
    return stage;
  }

  #keepText(data: Buffer): void {
    this.#textBytes += data.length;
    if (this.#textBytes > TEXT_BYTES_MAX) throw new LoginError(LOGIN_STATUS.initiatorError, "login text without end");
    // The segment lies in a receive buffer that is used again.
    if (data.length > 0) this.#text.push(Buffer.from(data));
  }

  // — who it is, §6.3.1 —

  #identify(pdu: LOGIN_REQUEST, pairs: readonly TextPair[], answers: TextPair[]): void {
    const { access, portalGroupTag, targetAlias, listedOnly } = this.#environment;
    const value = (key: string): string | undefined => pairs.find((pair) => pair.key === key)?.value;
    const initiatorName = value("InitiatorName");
    if (initiatorName === undefined || initiatorName === "")
      throw new LoginError(LOGIN_STATUS.missingParameter, "InitiatorName is missing");
    if (Buffer.byteLength(initiatorName) > KEYS.InitiatorName.bytesMax)
      throw new LoginError(LOGIN_STATUS.initiatorError, "InitiatorName too long");
    const sessionType = value("SessionType") ?? "Normal";
    if (sessionType !== "Normal" && sessionType !== "Discovery")
      throw new LoginError(LOGIN_STATUS.sessionTypeNotSupported, "unknown SessionType");
    const discovery = sessionType === "Discovery";
    const targetName = value("TargetName");
    if (targetName === undefined && !discovery) throw new LoginError(LOGIN_STATUS.missingParameter, "TargetName is missing");
    if (targetName !== undefined && !sameName(targetName, access.targetName)) {
      throw new LoginError(LOGIN_STATUS.notFound, "there is no such target");
    }
    const admission = admit(access, initiatorName, listedOnly);
    if (!admission.admitted) throw new LoginError(LOGIN_STATUS.authorizationFailure, `${initiatorName} ${admission.why}`);
    this.#chap = admission.chap;
    this.#negotiation.discovery = discovery;
    const initiatorAlias = value("InitiatorAlias") ?? "";
    this.#identity = { initiatorName, initiatorAlias, discovery, isid: pdu.isid, tsih: pdu.tsih, cid: pdu.cid };
    this.#checkSession(initiatorName, pdu);
    if (!discovery) {
      answers.push({ key: "TargetPortalGroupTag", value: String(portalGroupTag) });
      answers.push({ key: "TargetAlias", value: targetAlias });
    }
  }

  /** A TSIH asks for one more connection in a session: MaxConnections is 1, ErrorRecoveryLevel 0 (§6.3.1, §7.1.4). */
  #checkSession(initiatorName: string, pdu: LOGIN_REQUEST): void {
    if (pdu.tsih === 0) return;
    if (this.#environment.sessionExists(initiatorName, pdu.isid, pdu.tsih)) {
      throw new LoginError(LOGIN_STATUS.tooManyConnections, "the session has its one connection");
    }
    throw new LoginError(LOGIN_STATUS.sessionDoesNotExist, `there is no session ${pdu.tsih}`);
  }

  // — stages —

  #enter(stage: Stage): void {
    if (this.#state.stage !== "start") return;
    if (stage === "security") {
      this.#move({ stage: "security", authentication: { at: this.#chap === undefined ? "done" : "open" } });
      return;
    }
    if (this.#chap !== undefined)
      throw new LoginError(LOGIN_STATUS.authenticationFailure, "the security stage was skipped, CHAP is due");
    this.#move({ stage: "operational" });
  }

  #move(to: LoginState): void {
    if (!(MOVES[this.#state.stage] as readonly string[]).includes(to.stage)) {
      throw new Error(`login: no move from ${this.#state.stage} to ${to.stage}`);
    }
    this.#state = to;
  }

  #mayTransit(pdu: LOGIN_REQUEST): boolean {
    if (!pdu.transit) return false;
    const state = this.#state;
    if (state.stage === "security" && state.authentication.at !== "done") {
      // Asking to leave while CHAP goes on is common; asking without taking a step of it is skipping it.
      if (!this.#progressed) throw new LoginError(LOGIN_STATUS.authenticationFailure, "CHAP is due");
      return false;
    }
    this.#move(pdu.nextStage === STAGE_CODE.fullFeature ? { stage: "fullFeature" } : { stage: "operational" });
    return true;
  }

  #respond(pdu: LOGIN_REQUEST, stage: Stage, transit: boolean, answers: readonly TextPair[]): LoginAnswer {
    const text = formatText(answers);
    // Only a flood of unknown keys makes it this long.
    if (text.length > RESPONSE_BYTES_MAX)
      throw new LoginError(LOGIN_STATUS.initiatorError, "more keys than one response can answer");
    const complete =
      this.#state.stage === "fullFeature" ? { identity: this.#identity!, parameters: this.#negotiation.parameters() } : undefined;
    return { kind: "respond", transit, currentStage: STAGE_CODE[stage], nextStage: transit ? pdu.nextStage : 0, text, complete };
  }

  // — keys —

  #takeKeys(stage: Stage, pairs: readonly TextPair[], answers: TextPair[]): void {
    for (const { key } of pairs) {
      if (this.#seen.has(key)) throw new LoginError(LOGIN_STATUS.initiatorError, `key ${key} came twice`);
      this.#seen.add(key);
    }
    // MaxBurstLength first: FirstBurstLength is bounded by it.
    for (const pair of pairs) if (pair.key === "MaxBurstLength") this.#takeKey(stage, pair, answers);
    for (const pair of pairs) if (pair.key !== "MaxBurstLength") this.#takeKey(stage, pair, answers);
    this.#takeChap(stage, pairs, answers);
  }

  #takeKey(_stage: Stage, { key, value }: TextPair, answers: TextPair[]): void {
    if (!isKeyName(key)) {
      if (!isAnswerConstant(value)) answers.push({ key, value: "NotUnderstood" });
      return;
    }
    const spec: KeySpec = KEYS[key];
    if (spec.rule === "exchange" && key !== "SendTargets") {
      if (Buffer.byteLength(value) > spec.bytesMax) throw new LoginError(LOGIN_STATUS.initiatorError, `value of ${key} too long`);
      return; // taken together by #takeChap
    }
    if (spec.rule === "targetOnly" && isAnswerConstant(value)) return;
    const answer = this.#negotiation.answer(key, value, "login");
    if (answer !== undefined) answers.push({ key, value: answer });
  }

  // — authentication, §12.1 —

  #takeChap(stage: Stage, pairs: readonly TextPair[], answers: TextPair[]): void {
    const value = (key: KeyName): string | undefined => pairs.find((pair) => pair.key === key)?.value;
    const method = value("AuthMethod");
    const sent = (["CHAP_A", "CHAP_N", "CHAP_R", "CHAP_I", "CHAP_C"] as const).some((key) => value(key) !== undefined);
    if (method === undefined && !sent) return;
    const state = this.#state;
    if (stage !== "security" || state.stage !== "security") {
      throw new LoginError(LOGIN_STATUS.initiatorError, "authentication keys outside the security stage");
    }
    if (method !== undefined) this.#chooseMethod(method, answers);
    if (!sent) return;
    const { authentication } = this.#state as Extract<LoginState, { stage: "security" }>;
    const algorithms = value("CHAP_A");
    if (algorithms !== undefined) this.#challenge(authentication, algorithms, answers);
    else this.#prove(authentication, value);
  }

  #authenticated(authentication: Authentication): void {
    this.#move({ stage: "security", authentication });
    this.#progressed = true;
  }

  #chooseMethod(offered: string, answers: TextPair[]): void {
    const wanted = this.#chap === undefined ? "None" : "CHAP";
    if (!offered.split(",").includes(wanted)) {
      throw new LoginError(LOGIN_STATUS.authenticationFailure, `AuthMethod ${wanted} is due, "${offered}" was offered`);
    }
    answers.push({ key: "AuthMethod", value: wanted });
    if (wanted === "CHAP") this.#authenticated({ at: "chapChosen" });
  }

  #challenge(authentication: Authentication, algorithms: string, answers: TextPair[]): void {
    if (authentication.at !== "chapChosen") throw new LoginError(LOGIN_STATUS.authenticationFailure, "CHAP_A out of turn");
    const challenge = makeChallenge(algorithms, this.#environment.random ?? randomBytes);
    answers.push({ key: "CHAP_A", value: String(challenge.algorithm) });
    answers.push({ key: "CHAP_I", value: String(challenge.identifier) });
    answers.push({ key: "CHAP_C", value: `0x${challenge.challenge.toString("hex")}` });
    this.#authenticated({ at: "challenged", challenge });
  }

  #prove(authentication: Authentication, value: (key: KeyName) => string | undefined): void {
    if (authentication.at !== "challenged") throw new LoginError(LOGIN_STATUS.authenticationFailure, "CHAP response out of turn");
    const { challenge } = authentication;
    const theirs = value("CHAP_C");
    if (theirs !== undefined) refuseMutual(challenge, theirs);
    if (value("CHAP_I") !== undefined) throw new LoginError(LOGIN_STATUS.authenticationFailure, "CHAP_I without CHAP_C");
    const name = value("CHAP_N");
    const response = value("CHAP_R");
    if (name === undefined || response === undefined)
      throw new LoginError(LOGIN_STATUS.authenticationFailure, "CHAP_N or CHAP_R is missing");
    const chap = this.#chap!;
    checkProof(challenge, { name, response }, chap);
    this.#authenticated({ at: "done" });
  }
}
