/** Parameter data of REPORT LUNS (SPC-4 §6.33). Runs on: any thread. */
import { ParameterData } from "./parameter-data.ts";

/** SELECT REPORT: which of the logical units. There are no well known ones here, no administrative ones, no conglomerates. */
const SELECT_REPORT = {
  addressable: 0x00,
  wellKnown: 0x01,
  all: 0x02,
  administrative: 0x10,
  administrativeAndPlain: 0x11,
  subsidiary: 0x12,
} as const;

const LISTED: ReadonlyMap<number, boolean> = new Map([
  [SELECT_REPORT.addressable, true],
  [SELECT_REPORT.wellKnown, false],
  [SELECT_REPORT.all, true],
  [SELECT_REPORT.administrative, false],
  [SELECT_REPORT.administrativeAndPlain, true],
  [SELECT_REPORT.subsidiary, false],
]);

/** Peripheral device addressing below 256, flat space addressing above (SAM-5 §4.7.7.2, §4.7.7.3): the first two bytes. */
function lunAddress(lun: number): number {
  return lun < 256 ? lun : 0x4000 | lun;
}

/** Undefined: a value of SELECT REPORT that is reserved. */
export function reportLunsData(selectReport: number, luns: readonly number[]): Uint8Array | undefined {
  const listed = LISTED.get(selectReport);
  if (listed === undefined) return undefined;
  const shown = listed ? luns : [];
  const data = new ParameterData(8 + 8 * shown.length).u32(0, 8 * shown.length);
  for (const [index, lun] of shown.entries()) data.u16(8 + 8 * index, lunAddress(lun));
  return data.bytes;
}
