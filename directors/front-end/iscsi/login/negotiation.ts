/**
 * The operational parameters of one session, and how each offered key changes them (RFC 7143 §6.2, §13).
 *
 * Pure: takes a pair, returns the answer. Values out of range are answered `Reject` and leave what was in force.
 */
import { KEYS, type KeyName, type KeySpec } from "./keys.ts";

/** What configuration lets this target offer. */
export interface Offers {
  readonly maxRecvDataSegmentBytes: number;
  readonly maxBurstBytes: number;
  readonly firstBurstBytes: number;
}

export interface SessionParameters {
  readonly headerDigest: boolean;
  readonly dataDigest: boolean;
  readonly initialR2T: boolean;
  readonly immediateData: boolean;
  /** The largest data segment that the initiator takes. */
  readonly initiatorDataSegmentBytesMax: number;
  /** The largest that we take: what we declared, or the default where we had no chance to. */
  readonly targetDataSegmentBytesMax: number;
  readonly maxBurstBytes: number;
  readonly firstBurstBytes: number;
  readonly maxOutstandingR2T: number;
  readonly defaultTime2Wait: number;
  readonly defaultTime2Retain: number;
}

export type Stage = "login" | "fullFeature";

const REJECT = "Reject";
const IRRELEVANT = "Irrelevant";
const NOT_UNDERSTOOD = "NotUnderstood";
/** Constants with which a peer answers; they never are an offer. */
const ANSWERS: ReadonlySet<string> = new Set([REJECT, IRRELEVANT, NOT_UNDERSTOOD]);

export function isAnswerConstant(value: string): boolean {
  return ANSWERS.has(value);
}

/** Decimal or 0x hexadecimal, §6.1; undefined when it is neither, or over 2^32. */
export function parseNumber(value: string): number | undefined {
  if (!/^(?:0[xX][0-9a-fA-F]{1,8}|[0-9]{1,10})$/.test(value)) return undefined;
  return Number(value);
}

export class Negotiation {
  readonly #values = new Map<KeyName, number | boolean | string>();
  readonly #ours: Readonly<Partial<Record<KeyName, number>>>;
  readonly #offers: Offers;
  discovery = false;
  /** We have told our MaxRecvDataSegmentLength. */
  declaredSegment = false;

  constructor(offers: Offers) {
    this.#offers = offers;
    this.#ours = { MaxBurstLength: offers.maxBurstBytes, FirstBurstLength: offers.firstBurstBytes };
  }

  /** The answer to an offer, or undefined where none is due. */
  answer(name: KeyName, value: string, stage: Stage): string | undefined {
    const spec: KeySpec = KEYS[name];
    // Login-only keys have no meaning later: §13, "Use".
    if (stage === "fullFeature" && (spec.use === "LO" || spec.use === "IO")) return REJECT;
    if (stage === "login" && spec.use === "FFPO") return REJECT;
    if (this.discovery && spec.normalOnly === true) return IRRELEVANT;
    switch (spec.rule) {
      case "list":
        return this.#list(name, spec.supported, value);
      case "and":
      case "or":
        return this.#boolean(name, spec.rule, spec.ours, value);
      case "minimum":
      case "maximum":
        return this.#number(name, spec, value);
      case "declaredNumber":
        return this.#declare(name, spec.range, value);
      case "obsolete":
        return spec.answer;
      case "declaredText":
        return Buffer.byteLength(value) > spec.bytesMax ? REJECT : undefined;
      case "targetOnly":
      case "exchange":
        return REJECT;
    }
  }

  #list(name: KeyName, supported: readonly string[], value: string): string {
    // The first of the offered values that we support: the initiator's order is its preference (§6.2.1).
    const chosen = value.split(",").find((offered) => supported.includes(offered));
    if (chosen === undefined) return REJECT;
    this.#values.set(name, chosen);
    return chosen;
  }

  #boolean(name: KeyName, rule: "and" | "or", ours: boolean, value: string): string {
    if (value !== "Yes" && value !== "No") return REJECT;
    const offered = value === "Yes";
    const result = rule === "and" ? offered && ours : offered || ours;
    this.#values.set(name, result);
    return result ? "Yes" : "No";
  }

  #number(name: KeyName, spec: Extract<KeySpec, { rule: "minimum" | "maximum" }>, value: string): string {
    const offered = parseNumber(value);
    if (offered === undefined || offered < spec.range[0] || offered > spec.range[1]) return REJECT;
    let ours = this.#ours[name] ?? spec.ours;
    // §13.14: FirstBurstLength must not exceed MaxBurstLength.
    if (name === "FirstBurstLength") ours = Math.min(ours, this.#get("MaxBurstLength") as number);
    const result = spec.rule === "minimum" ? Math.min(offered, ours) : Math.max(offered, ours);
    this.#values.set(name, result);
    return String(result);
  }

  #declare(name: KeyName, range: readonly [number, number], value: string): string | undefined {
    const declared = parseNumber(value);
    if (declared === undefined || declared < range[0] || declared > range[1]) return REJECT;
    this.#values.set(name, declared);
    return undefined;
  }

  #get(name: KeyName): number | boolean | string {
    const value = this.#values.get(name);
    if (value !== undefined) return value;
    const spec: KeySpec = KEYS[name];
    return "default" in spec ? spec.default : "";
  }

  parameters(): SessionParameters {
    const maxBurstBytes = this.#get("MaxBurstLength") as number;
    return {
      headerDigest: this.#get("HeaderDigest") === "CRC32C",
      dataDigest: this.#get("DataDigest") === "CRC32C",
      initialR2T: this.#get("InitialR2T") as boolean,
      immediateData: this.#get("ImmediateData") as boolean,
      initiatorDataSegmentBytesMax: this.#get("MaxRecvDataSegmentLength") as number,
      targetDataSegmentBytesMax: this.declaredSegment
        ? this.#offers.maxRecvDataSegmentBytes
        : KEYS.MaxRecvDataSegmentLength.default,
      maxBurstBytes,
      firstBurstBytes: Math.min(this.#get("FirstBurstLength") as number, maxBurstBytes),
      maxOutstandingR2T: this.#get("MaxOutstandingR2T") as number,
      defaultTime2Wait: this.#get("DefaultTime2Wait") as number,
      defaultTime2Retain: this.#get("DefaultTime2Retain") as number,
    };
  }
}
