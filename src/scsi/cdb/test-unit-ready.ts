/** TEST UNIT READY (SPC-4 §6.47). */
import { defineCdb } from "./define-cdb.ts";

export const TEST_UNIT_READY = defineCdb("TEST UNIT READY", { opcode: 0x00, lengthBytes: 6, direction: "none" }, {});
