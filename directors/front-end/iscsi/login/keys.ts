/**
 * Every text key of RFC 7143 that a target meets: default, range, result function, use and section, as one table.
 *
 * `ours` is what this target puts in where it does not depend on configuration. Keys that are not here are answered
 * NotUnderstood (§6.2), the obsolete ones as §13.25 has it.
 */

/** §13: leading only, initialize only, any time, full feature phase only. */
type KeyUse = "LO" | "IO" | "ALL" | "FFPO";

interface KeyCommon {
  readonly section: string;
  readonly use: KeyUse;
  /** May be sent in the security negotiation stage too. */
  readonly anyStage?: true;
  /** Makes no sense in a discovery session: answered Irrelevant there. */
  readonly normalOnly?: true;
}

export type KeySpec = KeyCommon &
  (
    | { readonly rule: "list"; readonly supported: readonly string[]; readonly default: string }
    | { readonly rule: "and" | "or"; readonly default: boolean; readonly ours: boolean }
    | {
        readonly rule: "minimum" | "maximum";
        readonly default: number;
        readonly range: readonly [least: number, greatest: number];
        readonly ours: number;
      }
    /** Told, not negotiated, and a number. */
    | { readonly rule: "declaredNumber"; readonly default: number; readonly range: readonly [least: number, greatest: number] }
    | { readonly rule: "declaredText"; readonly bytesMax: number }
    /** Only a target may send it. */
    | { readonly rule: "targetOnly" }
    /** Worked on elsewhere: authentication, SendTargets. */
    | { readonly rule: "exchange"; readonly bytesMax: number }
    | { readonly rule: "obsolete"; readonly answer: "No" | "Reject" }
  );

const SEGMENT_RANGE = [512, 2 ** 24 - 1] as const;

export const KEYS = {
  AuthMethod: { section: "12.1", use: "IO", anyStage: true, rule: "exchange", bytesMax: 255 },
  CHAP_A: { section: "12.1.3", use: "IO", anyStage: true, rule: "exchange", bytesMax: 255 },
  CHAP_N: { section: "12.1.3", use: "IO", anyStage: true, rule: "exchange", bytesMax: 255 },
  // 1024 bytes in hexadecimal with its prefix (§6.1, §12.1.3): longer ones are refused before they are decoded.
  CHAP_R: { section: "12.1.3", use: "IO", anyStage: true, rule: "exchange", bytesMax: 2050 },
  CHAP_I: { section: "12.1.3", use: "IO", anyStage: true, rule: "exchange", bytesMax: 255 },
  CHAP_C: { section: "12.1.3", use: "IO", anyStage: true, rule: "exchange", bytesMax: 2050 },

  HeaderDigest: { section: "13.1", use: "IO", rule: "list", supported: ["CRC32C", "None"], default: "None" },
  DataDigest: { section: "13.1", use: "IO", rule: "list", supported: ["CRC32C", "None"], default: "None" },
  MaxConnections: { section: "13.2", use: "LO", normalOnly: true, rule: "minimum", default: 1, range: [1, 65535], ours: 1 },
  SendTargets: { section: "13.3", use: "FFPO", rule: "exchange", bytesMax: 223 },
  TargetName: { section: "13.4", use: "IO", anyStage: true, rule: "declaredText", bytesMax: 223 },
  InitiatorName: { section: "13.5", use: "IO", anyStage: true, rule: "declaredText", bytesMax: 223 },
  TargetAlias: { section: "13.6", use: "ALL", anyStage: true, rule: "targetOnly" },
  InitiatorAlias: { section: "13.7", use: "ALL", anyStage: true, rule: "declaredText", bytesMax: 255 },
  TargetAddress: { section: "13.8", use: "ALL", anyStage: true, rule: "targetOnly" },
  TargetPortalGroupTag: { section: "13.9", use: "IO", anyStage: true, rule: "targetOnly" },
  InitialR2T: { section: "13.10", use: "LO", normalOnly: true, rule: "or", default: true, ours: false },
  ImmediateData: { section: "13.11", use: "LO", normalOnly: true, rule: "and", default: true, ours: true },
  MaxRecvDataSegmentLength: { section: "13.12", use: "ALL", rule: "declaredNumber", default: 8192, range: SEGMENT_RANGE },
  MaxBurstLength: {
    section: "13.13",
    use: "LO",
    normalOnly: true,
    rule: "minimum",
    default: 262144,
    range: SEGMENT_RANGE,
    ours: 262144,
  },
  FirstBurstLength: {
    section: "13.14",
    use: "LO",
    normalOnly: true,
    rule: "minimum",
    default: 65536,
    range: SEGMENT_RANGE,
    ours: 65536,
  },
  DefaultTime2Wait: { section: "13.15", use: "LO", rule: "maximum", default: 2, range: [0, 3600], ours: 2 },
  // ErrorRecoveryLevel 0 keeps nothing of a connection that failed.
  DefaultTime2Retain: { section: "13.16", use: "LO", rule: "minimum", default: 20, range: [0, 3600], ours: 0 },
  MaxOutstandingR2T: { section: "13.17", use: "LO", normalOnly: true, rule: "minimum", default: 1, range: [1, 65535], ours: 4 },
  DataPDUInOrder: { section: "13.18", use: "LO", normalOnly: true, rule: "or", default: true, ours: true },
  DataSequenceInOrder: { section: "13.19", use: "LO", normalOnly: true, rule: "or", default: true, ours: true },
  ErrorRecoveryLevel: { section: "13.20", use: "LO", rule: "minimum", default: 0, range: [0, 2], ours: 0 },
  SessionType: { section: "13.21", use: "LO", anyStage: true, rule: "declaredText", bytesMax: 255 },
  TaskReporting: { section: "13.23", use: "LO", normalOnly: true, rule: "list", supported: ["RFC3720"], default: "RFC3720" },
  iSCSIProtocolLevel: { section: "13.24", use: "LO", normalOnly: true, rule: "minimum", default: 1, range: [0, 31], ours: 1 },
  // §13.25: never NotUnderstood; No is what old initiators take without ending the login.
  IFMarker: { section: "13.25", use: "IO", rule: "obsolete", answer: "No" },
  OFMarker: { section: "13.25", use: "IO", rule: "obsolete", answer: "No" },
  IFMarkInt: { section: "13.25", use: "IO", rule: "obsolete", answer: "Reject" },
  OFMarkInt: { section: "13.25", use: "IO", rule: "obsolete", answer: "Reject" },
} as const satisfies Readonly<Record<string, KeySpec>>;

export type KeyName = keyof typeof KEYS;

export function isKeyName(name: string): name is KeyName {
  return Object.hasOwn(KEYS, name);
}
