/** Block Device Characteristics, B1h (SBC-3 §6.6.2): a medium that does not rotate. */
import { ParameterData } from "../parameter-data.ts";
import type { VpdPage } from "./vpd-page.ts";

export const BLOCK_DEVICE_CHARACTERISTICS: VpdPage = {
  code: 0xb1,
  body: () => new ParameterData(0x3c).u16(0, 0x0001).bytes,
};
