/** A page of the map as it lies on the drives: its key, and its bytes with checksum and identity. */
import { dataChecksum } from "../../drivers/shared-memory/data-checksum.ts";
import { PAGE_BLOCKS } from "./map-pages.ts";

const PAGE_HEADER_WORDS = 8;
const PAGE_MAGIC = 0x31504d56; // "VMP1"

export const PAGE_BYTES = (PAGE_HEADER_WORDS + PAGE_BLOCKS) * 4;

export function pageKey(volume: number, page: number): string {
  return `p/${volume.toString(16).padStart(8, "0")}/${page.toString(16).padStart(8, "0")}`;
}

/** The page that a key of a volume's range names. */
export function pageOfKey(key: string): number {
  return Number.parseInt(key.slice(key.lastIndexOf("/") + 1), 16);
}

/** All pages of one volume. */
export function pageRange(volume: number): { from: string; below: string } {
  const prefix = `p/${volume.toString(16).padStart(8, "0")}`;
  return { from: `${prefix}/`, below: `${prefix}0` };
}

export function encodePage(volume: number, page: number, logSequence: number, places: Uint32Array): Uint8Array {
  const words = new Uint32Array(PAGE_HEADER_WORDS + PAGE_BLOCKS);
  words[0] = PAGE_MAGIC;
  words[2] = volume;
  words[3] = page;
  words[4] = logSequence % 2 ** 32;
  words[5] = Math.floor(logSequence / 2 ** 32);
  words.set(places, PAGE_HEADER_WORDS);
  const bytes = new Uint8Array(words.buffer);
  words[1] = dataChecksum(bytes.subarray(8));
  return bytes;
}

/** The page, or undefined when the bytes are not that page whole. */
export function decodePage(
  value: Uint8Array,
  volume: number,
  page: number,
): { readonly places: Uint32Array; readonly logSequence: number } | undefined {
  if (value.length !== PAGE_BYTES) return undefined;
  const words = new Uint32Array(new Uint8Array(value).buffer);
  if (words[0] !== PAGE_MAGIC || words[1] !== dataChecksum(new Uint8Array(words.buffer).subarray(8))) return undefined;
  if (words[2] !== volume || words[3] !== page) return undefined;
  return { places: words.subarray(PAGE_HEADER_WORDS), logSequence: words[4]! + words[5]! * 2 ** 32 };
}
