/**
 * Mode pages: one table of default and changeable bytes (SPC-4 §7.5, SBC-3 §6.5). WCE alone can be changed; it is saved.
 *
 * Runs on: any thread. Owns: nothing; the current value of WCE is the volume's.
 */
import type { VolumeInfo } from "../volume/block-io.ts";

export interface ModePage {
  readonly code: number;
  /** Page header included; WCE as it is by default. */
  readonly defaults: Uint8Array;
  /** A one for every bit that MODE SELECT can change; header included. */
  readonly changeable: Uint8Array;
}

/** PS: the page can be saved. */
const PARAMETERS_SAVEABLE = 0x80;
const CACHING_PAGE = 0x08;
/** Byte and bit of WCE in the caching page. */
const WCE_BYTE = 2;
const WCE_BIT = 0x04;

function modePage(
  code: number,
  bytes: number,
  values: Readonly<Record<number, number>>,
  changeableBits: Readonly<Record<number, number>> = {},
): ModePage {
  const saveable = Object.keys(changeableBits).length > 0 ? PARAMETERS_SAVEABLE : 0;
  const header = [saveable | code, bytes - 2];
  const fill = (from: Readonly<Record<number, number>>): Uint8Array => {
    const page = new Uint8Array(bytes);
    page.set(header);
    for (const [at, value] of Object.entries(from)) page[Number(at)] = value;
    return page;
  };
  return { code, defaults: fill(values), changeable: fill(changeableBits) };
}

/** In rising order, as page code 3Fh lists them. */
export const MODE_PAGES: readonly ModePage[] = [
  modePage(0x01, 12, { 2: 0xc0 }), // Read-Write Error Recovery: AWRE, ARRE
  modePage(CACHING_PAGE, 20, { [WCE_BYTE]: WCE_BIT }, { [WCE_BYTE]: WCE_BIT }),
  modePage(0x0a, 12, { 2: 0x02, 3: 0x10 }), // Control: GLTSD; unrestricted reordering; D_SENSE, SWP, TAS and QERR 0
  modePage(0x1c, 12, { 2: 0x08 }), // Informational Exceptions Control: DEXCPT, none are reported
];

export const MODE_PAGE_ALL = 0x3f;
export const MODE_SUBPAGE_ALL = 0xff;
export const PAGE_CONTROL = { current: 0, changeable: 1, defaults: 2, saved: 3 } as const;

/** A page as MODE SENSE returns it. */
export function modePageValues(page: ModePage, pageControl: number, info: VolumeInfo): Uint8Array {
  if (pageControl === PAGE_CONTROL.changeable) return page.changeable;
  if (pageControl === PAGE_CONTROL.defaults || page.code !== CACHING_PAGE) return page.defaults;
  const values = page.defaults.slice(); // current and saved values are one
  values[WCE_BYTE] = info.writeCacheEnabled ? WCE_BIT : 0;
  return values;
}

/** WCE in the bytes of a caching page; undefined: another page. */
export function writeCacheEnabledOf(code: number, values: Uint8Array): boolean | undefined {
  return code === CACHING_PAGE ? (values[WCE_BYTE]! & WCE_BIT) !== 0 : undefined;
}
