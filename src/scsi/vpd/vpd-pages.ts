/** All vital product data pages, and page 00h, which lists them (SPC-4 §7.8.13). */
import { BLOCK_DEVICE_CHARACTERISTICS } from "./block-device-characteristics.ts";
import { BLOCK_LIMITS } from "./block-limits.ts";
import { DEVICE_IDENTIFICATION } from "./device-identification.ts";
import { EXTENDED_INQUIRY } from "./extended-inquiry.ts";
import { LOGICAL_BLOCK_PROVISIONING } from "./logical-block-provisioning.ts";
import { UNIT_SERIAL_NUMBER } from "./unit-serial-number.ts";
import type { VpdPage } from "./vpd-page.ts";

const PAGES: readonly VpdPage[] = [
  UNIT_SERIAL_NUMBER,
  DEVICE_IDENTIFICATION,
  EXTENDED_INQUIRY,
  BLOCK_LIMITS,
  BLOCK_DEVICE_CHARACTERISTICS,
  LOGICAL_BLOCK_PROVISIONING,
];

const SUPPORTED_VPD_PAGES: VpdPage = {
  code: 0x00,
  body: () => Uint8Array.from([0x00, ...PAGES.map((page) => page.code)]), // in rising order
};

const BY_CODE = new Map([SUPPORTED_VPD_PAGES, ...PAGES].map((page) => [page.code, page]));

export function findVpdPage(code: number): VpdPage | undefined {
  return BY_CODE.get(code);
}
