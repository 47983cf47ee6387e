/** RESERVE and RELEASE (6) and (10) (SPC-2 §7.16 to §7.22). Extents and third parties are refused. */
import { defineCdb } from "./define-cdb.ts";
import { bit, u8, u16, unused } from "./field.ts";

const fields6 = { thirdParty: unused(bit(1, 4)), extent: unused(bit(1, 0)), reservationIdentification: unused(u8(2)) };
export const RESERVE_6 = defineCdb("RESERVE(6)", { opcode: 0x16, lengthBytes: 6, direction: "none" }, fields6);
export const RELEASE_6 = defineCdb("RELEASE(6)", { opcode: 0x17, lengthBytes: 6, direction: "none" }, fields6);

const fields10 = {
  thirdParty: unused(bit(1, 4)),
  longId: unused(bit(1, 1)),
  extent: unused(bit(1, 0)),
  reservationIdentification: unused(u8(2)),
  thirdPartyDeviceId: unused(u8(3)),
  parameterListLength: unused(u16(7)),
};
export const RESERVE_10 = defineCdb("RESERVE(10)", { opcode: 0x56, lengthBytes: 10, direction: "none" }, fields10);
export const RELEASE_10 = defineCdb("RELEASE(10)", { opcode: 0x57, lengthBytes: 10, direction: "none" }, fields10);
