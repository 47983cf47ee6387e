/**
 * One-way CHAP (RFC 7143 §12.1.3, RFC 1994): the initiator proves that it knows its secret.
 *
 * Invariants:
 *  1. A challenge is made by a secure source, used for one login, and never accepted back as a challenge to us.
 *  2. Lengths are checked before anything is decoded; digests and names are compared in constant time.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { LOGIN_STATUS, LoginError } from "../peer-error.ts";
import { parseNumber } from "./negotiation.ts";

interface ChapAlgorithm {
  readonly hash: string;
  readonly digestBytes: number;
}

/** CHAP_A values (IANA "PPP Authentication Algorithms"). SHA-1 (6) is left out: whoever can do better than MD5 can do these. */
const ALGORITHMS: ReadonlyMap<number, ChapAlgorithm> = new Map([
  [5, { hash: "md5", digestBytes: 16 }],
  [7, { hash: "sha256", digestBytes: 32 }],
  [8, { hash: "sha3-256", digestBytes: 32 }],
]);

const CHALLENGE_BYTES = 32;
/** §12.1.3: CHAP_C and CHAP_R are at most 1024 bytes. */
const BINARY_BYTES_MAX = 1024;

export interface Challenge {
  readonly algorithm: number;
  readonly identifier: number;
  readonly challenge: Buffer;
}

/** Picks the first of the offered algorithms that we can do. */
export function makeChallenge(offered: string, random: (bytes: number) => Buffer = randomBytes): Challenge {
  const algorithm = offered
    .split(",")
    .map((value) => parseNumber(value))
    .find((value) => value !== undefined && ALGORITHMS.has(value));
  if (algorithm === undefined)
    throw new LoginError(LOGIN_STATUS.authenticationFailure, `no CHAP algorithm of "${offered}" is known`);
  return { algorithm, identifier: random(1)[0]!, challenge: random(CHALLENGE_BYTES) };
}

function chapResponse(challenge: Challenge, secret: string): Buffer {
  const { hash } = ALGORITHMS.get(challenge.algorithm)!;
  return createHash(hash).update(Buffer.of(challenge.identifier)).update(secret, "utf8").update(challenge.challenge).digest();
}

/** Decodes a large binary value, 0x… or 0b… (§6.1); malformed ones end the login with 0200. */
export function decodeBinary(value: string, bytesMax: number = BINARY_BYTES_MAX): Buffer {
  const malformed = (why: string): LoginError => new LoginError(LOGIN_STATUS.initiatorError, `binary value ${why}`);
  const prefix = value.slice(0, 2).toLowerCase();
  const digits = value.slice(2);
  if (prefix === "0x") {
    if (digits.length > bytesMax * 2) throw malformed("too long");
    if (digits.length === 0 || digits.length % 2 !== 0 || !/^[0-9a-fA-F]+$/.test(digits)) throw malformed("is no hexadecimal");
    return Buffer.from(digits, "hex");
  }
  if (prefix === "0b") {
    if (digits.length > Math.ceil(bytesMax / 3) * 4) throw malformed("too long");
    if (digits.length === 0 || digits.length % 4 !== 0 || !/^[A-Za-z0-9+/]+={0,2}$/.test(digits)) throw malformed("is no base64");
    const decoded = Buffer.from(digits, "base64");
    if (decoded.length > bytesMax) throw malformed("too long");
    return decoded;
  }
  throw malformed("has neither 0x nor 0b in front");
}

export interface ChapProof {
  readonly name: string;
  readonly response: string;
}

/** @throws LoginError 0201 when the proof is wrong, 0200 when it is malformed */
export function checkProof(
  challenge: Challenge,
  proof: ChapProof,
  expected: { readonly user: string; readonly secret: string },
): void {
  const response = decodeBinary(proof.response);
  const right = chapResponse(challenge, expected.secret);
  // Hashed first, so that neither comparison tells a length; both are made, whatever the first one says.
  const sha = (value: Buffer | string): Buffer => createHash("sha256").update(value).digest();
  const nameMatches = timingSafeEqual(sha(proof.name), sha(expected.user));
  const responseMatches = timingSafeEqual(sha(response), sha(right));
  if (!nameMatches || !responseMatches) throw new LoginError(LOGIN_STATUS.authenticationFailure, "CHAP response does not match");
}

/** An initiator that challenges us: we hold no secret of our own (one-way), and never answer our own challenge. */
export function refuseMutual(challenge: Challenge, theirs: string): never {
  const decoded = decodeBinary(theirs);
  const reflected = decoded.length === challenge.challenge.length && timingSafeEqual(decoded, challenge.challenge);
  throw new LoginError(
    LOGIN_STATUS.authenticationFailure,
    reflected ? "our own CHAP challenge was reflected" : "mutual CHAP was asked for, and this target has no secret to prove",
  );
}
