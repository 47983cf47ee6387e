/** Extended INQUIRY Data, 86h (SPC-4 §7.8.7). */
import { ParameterData } from "../parameter-data.ts";
import type { VpdPage } from "./vpd-page.ts";

export const EXTENDED_INQUIRY: VpdPage = {
  code: 0x86,
  body: () =>
    new ParameterData(60)
      .u8(1, 0x07) // HEADSUP, ORDSUP, SIMPSUP
      .u8(2, 0x01).bytes, // V_SUP: acknowledged writes may be in a volatile cache
};
