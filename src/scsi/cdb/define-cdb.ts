/**
 * `defineCdb`: one table for a command descriptor block, which drives decoder, encoder, printer, the usage map of REPORT
 * SUPPORTED OPERATION CODES and the plan of its data-out.
 *
 * Runs on: any thread. Owns: nothing.
 * Invariants (checked at load):
 *  1. No two fields of a CDB overlap, and none runs past its end or into the CONTROL byte.
 *  2. A CDB with a service action leaves bits 4…0 of byte 1 to it.
 */
import type { DataOutPlan } from "../task.ts";
import { bits, type Field, fieldBigInt, fieldMask, fieldValue, setField } from "./field.ts";

type Direction = "none" | "in" | "out";

/** How much data a command takes: fills in `plan`, which is all zero before. Must not fail, whatever the CDB holds. */
export type DataOutRule = (cdb: Uint8Array, logicalBlockBytes: number, plan: DataOutPlan) => void;

export interface CdbShape {
  readonly opcode: number;
  readonly serviceAction?: number;
  readonly lengthBytes: 6 | 10 | 12 | 16;
  readonly direction: Direction;
  readonly dataOut?: DataOutRule;
}

export interface CdbDefinition<Fields extends Readonly<Record<string, Field>> = Readonly<Record<string, Field>>>
  extends CdbShape {
  readonly name: string;
  readonly fields: Fields;
}

/** Service action of commands that have one: byte 1, bits 4…0 (SPC-4 §4.2.5.3). */
const SERVICE_ACTION = bits(1, 4, 0);

export function defineCdb<const Fields extends Readonly<Record<string, Field>>>(
  name: string,
  shape: CdbShape,
  fields: Fields,
): CdbDefinition<Fields> {
  const definition = { name, ...shape, fields };
  const used = new Uint8Array(shape.lengthBytes);
  used[0] = 0xff;
  used[shape.lengthBytes - 1] = 0xff; // CONTROL
  if (shape.serviceAction !== undefined) used[1] = 0x1f;
  for (const [fieldName, field] of Object.entries(fields)) {
    if (field.byte + field.bytes > shape.lengthBytes) throw new RangeError(`${name}: ${fieldName} runs past the end of the CDB`);
    for (let byte = field.byte; byte < field.byte + field.bytes; byte += 1) {
      const mask = fieldMask(field, byte);
      if ((used[byte]! & mask) !== 0) throw new RangeError(`${name}: ${fieldName} overlaps another field in byte ${byte}`);
      used[byte]! |= mask;
    }
  }
  return definition;
}

export type CdbValues<Definition extends CdbDefinition> = { -readonly [Name in keyof Definition["fields"]]: number | bigint };

/** Every field by name: fields of 8 bytes as bigint, the others as number. Not for the data path. */
export function decodeCdb<Definition extends CdbDefinition>(definition: Definition, cdb: Uint8Array): CdbValues<Definition> {
  const values: Record<string, number | bigint> = {};
  for (const [name, field] of Object.entries(definition.fields)) {
    values[name] = field.bytes === 8 ? fieldBigInt(cdb, field) : fieldValue(cdb, field);
  }
  return values as CdbValues<Definition>;
}

/** A CDB of 16 bytes, the rest of a shorter one zero, as transports carry it. */
export function encodeCdb<Definition extends CdbDefinition>(
  definition: Definition,
  values: Partial<CdbValues<Definition>> = {},
): Uint8Array {
  const cdb = new Uint8Array(16);
  cdb[0] = definition.opcode;
  if (definition.serviceAction !== undefined) setField(cdb, SERVICE_ACTION, definition.serviceAction);
  for (const [name, value] of Object.entries(values)) {
    const field = definition.fields[name];
    if (field === undefined) throw new RangeError(`${definition.name} has no field ${name}`);
    setField(cdb, field, value as number | bigint);
  }
  return cdb;
}

/** For logs: `READ(10) logicalBlockAddress=8 transferLength=1`; fields that are zero are left out. */
export function printCdb(definition: CdbDefinition, cdb: Uint8Array): string {
  const words = [definition.name];
  for (const [name, value] of Object.entries(decodeCdb(definition, cdb))) {
    if (value !== 0 && value !== 0n) words.push(`${name}=${value}`);
  }
  return words.join(" ");
}

/** CDB USAGE DATA: the operation code, the service action, and a one for every bit that is evaluated (SPC-4 §6.35.3). */
export function usageMap(definition: CdbDefinition): Uint8Array {
  const map = new Uint8Array(definition.lengthBytes);
  map[0] = definition.opcode;
  if (definition.serviceAction !== undefined) map[1] = definition.serviceAction;
  for (const field of Object.values(definition.fields)) {
    if (!field.evaluated) continue;
    for (let byte = field.byte; byte < field.byte + field.bytes; byte += 1) map[byte]! |= fieldMask(field, byte);
  }
  return map;
}
