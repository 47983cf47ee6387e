/** Serial number arithmetic on 32 bits (RFC 1982), as CmdSN, StatSN and their windows need it (RFC 7143 §4.2.2). */
export const nextSN = (sn: number): number => (sn + 1) >>> 0;
export const addSN = (sn: number, count: number): number => (sn + count) >>> 0;
/** How far `a` is ahead of `b`: −2^31 … 2^31 − 1. */
export const distanceSN = (a: number, b: number): number => (a - b) | 0;
