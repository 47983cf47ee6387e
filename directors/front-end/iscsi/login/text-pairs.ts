/**
 * Text data segments: `key=value` pairs, each ended by NUL (RFC 7143 §6.1). Decodes the shape only.
 */
export interface TextPair {
  readonly key: string;
  readonly value: string;
}

const KEY_BYTES_MAX = 63;

export type TextFault = "missing NUL" | "pair without =" | "key too long" | "bad key" | "bad value";

/** §6.1: a standard label starts with a capital; X- and X# keys and iSCSIProtocolLevel are the exceptions that it names. */
const KEY_PATTERN = /^[A-Za-z][A-Za-z0-9.\-+@_#]*$/;

/** @returns the pairs, or what is wrong with the text */
export function parseText(data: Buffer): TextPair[] | TextFault {
  const pairs: TextPair[] = [];
  if (data.length > 0 && data[data.length - 1] !== 0) return "missing NUL";
  let at = 0;
  while (at < data.length) {
    const end = data.indexOf(0, at);
    // Some initiators pad inside the segment: an empty string between two NULs is no pair.
    if (end > at) {
      const pair = parsePair(data, at, end);
      if (typeof pair === "string") return pair;
      pairs.push(pair);
    }
    at = end + 1;
  }
  return pairs;
}

function parsePair(data: Buffer, at: number, end: number): TextPair | TextFault {
  const equals = data.indexOf(0x3d, at);
  if (equals === -1 || equals >= end) return "pair without =";
  if (equals - at > KEY_BYTES_MAX) return "key too long";
  const key = data.toString("latin1", at, equals);
  if (!KEY_PATTERN.test(key)) return "bad key";
  const value = data.toString("utf8", equals + 1, end);
  for (let i = equals + 1; i < end; i += 1) if (data[i]! < 0x20 || data[i]! === 0x7f) return "bad value";
  return { key, value };
}

export function formatText(pairs: readonly TextPair[]): Buffer {
  return Buffer.from(pairs.map(({ key, value }) => `${key}=${value}\0`).join(""), "utf8");
}
