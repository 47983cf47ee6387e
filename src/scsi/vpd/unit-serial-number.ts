/** Unit Serial Number, 80h (SPC-4 §7.8.15). */
import { ParameterData } from "../parameter-data.ts";
import type { VpdPage } from "./vpd-page.ts";

export const UNIT_SERIAL_NUMBER: VpdPage = {
  code: 0x80,
  body: ({ info }) => new ParameterData(info.serial.length).text(0, info.serial, info.serial.length).bytes,
};
