/**
 * Which of a fault rule's fields go together: the schema says what each may be, this what makes sense.
 */
import type { Static } from "typebox";
import type { DriveFaultSettings, FaultName, FaultRule } from "../../drivers/drive/drive-faults.ts";
import type { SetDriveFaults } from "./api/schemas.ts";
import { ApiError } from "./api-error.ts";

type RuleBody = Static<typeof SetDriveFaults>["rules"][number];
type Field = Exclude<keyof RuleBody, "fault">;

/** Fields of one fault only. */
const OWN: Partial<Record<FaultName, readonly Field[]>> = {
  tornWrite: ["strips", "bytes", "report"],
  misdirectedWrite: ["toZone", "toStrip"],
  bitFlip: ["on", "offsetBytes", "bit"],
  revertedKey: ["to"],
  delay: ["milliseconds", "jitterMilliseconds"],
  unknownOutcome: ["done"],
};
const OWNED: ReadonlyMap<Field, FaultName> = new Map(
  Object.entries(OWN).flatMap(([fault, fields]) => fields.map((field) => [field, fault as FaultName] as const)),
);
/** The second makes no sense without the first. */
const NEEDS: readonly (readonly [Field, Field])[] = [
  ["stripCount", "firstStrip"],
  ["byteCount", "firstByte"],
];
/** What a place in zones can't be said together with. */
const ZONED: readonly Field[] = ["zone", "firstStrip", "firstByte"];

/** @throws ApiError that names the field */
export function faultSettings({ seed, rules }: Static<typeof SetDriveFaults>): DriveFaultSettings {
  for (const [index, rule] of rules.entries()) checkRule(rule, `rules.${index}`);
  return { ...(seed === undefined ? {} : { seed }), rules: rules as readonly FaultRule[] };
}

function checkRule(rule: RuleBody, path: string): void {
  const refuse = (field: Field, why: string) =>
    new ApiError(400, "invalidRequest", `${path}.${field} ${why}`, `${path}.${field}`);
  for (const field of Object.keys(rule) as (keyof RuleBody)[]) {
    if (field === "fault") continue;
    const owner = OWNED.get(field);
    if (owner !== undefined && owner !== rule.fault) throw refuse(field, `goes with ${owner}, not with ${rule.fault}`);
  }
  if (rule.fault === "delay" && rule.milliseconds === undefined) throw refuse("milliseconds", "is needed for a delay");
  for (const [field, needed] of NEEDS) {
    if (rule[field] !== undefined && rule[needed] === undefined) throw refuse(field, `needs ${needed}`);
  }
  const zoned = ZONED.find((field) => rule[field] !== undefined);
  if (rule.keyPrefix !== undefined && zoned !== undefined) throw refuse("keyPrefix", `is of metadata, and ${zoned} is not`);
}
