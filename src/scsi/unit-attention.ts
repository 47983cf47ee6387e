/**
 * Unit attention conditions of one I_T nexus at one logical unit (SAM-5 §5.14).
 *
 * Runs on: the owning director's thread. Owns: nothing; a set is a plain number, one bit for each condition, so it is
 * bounded, and a condition that is raised twice is reported once.
 */
import type { SenseName } from "./sense.ts";

/** In the order in which they are reported: resets first (SAM-5 §5.14.1 table 54), then what changed. */
const UNIT_ATTENTIONS = [
  "powerOnOrReset",
  "busDeviceReset",
  "modeParametersChanged",
  "asymmetricAccessStateChanged",
  "capacityDataHasChanged",
] as const satisfies readonly SenseName[];
export type UnitAttention = (typeof UNIT_ATTENTIONS)[number];

/** A set of conditions. */
export type UnitAttentionSet = number;

const BIT = Object.fromEntries(UNIT_ATTENTIONS.map((name, index) => [name, 1 << index])) as Record<UnitAttention, number>;

export function withUnitAttention(set: UnitAttentionSet, condition: UnitAttention): UnitAttentionSet {
  return set | BIT[condition];
}

/** The condition to report now, if any. */
export function firstUnitAttention(set: UnitAttentionSet): UnitAttention | undefined {
  return set === 0 ? undefined : UNIT_ATTENTIONS[31 - Math.clz32(set & -set)];
}

/** What is left once the first was reported: reporting a condition clears it (UA_INTLCK_CTRL 00b). */
export function withoutFirst(set: UnitAttentionSet): UnitAttentionSet {
  return set & (set - 1);
}
