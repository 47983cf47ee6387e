/**
 * Writes what a power loss might leave, into a folder: of all that was not durable, a random part.
 *
 * Each image is drawn by one policy, as accidents differ: nothing that was not synced is there; all is (as after kill -9);
 * or each page, file and folder goes its own way, by shares that are drawn anew for each image.
 */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Random } from "../random.ts";
import { type CrashFile, type CrashFiles, CrashFolder, PAGE_BYTES } from "./crash-files.ts";

const SECTOR_BYTES = 512;

export interface ImagePolicy {
  readonly name: "nothing" | "everything" | "some";
  /** Share of pages, of files as a whole, and of folder changes that made it. */
  readonly pages: number;
  readonly files: number;
  readonly folders: number;
  /** Of the pages that made it, so many are torn between two states. */
  readonly torn: number;
}

const SHARES = [0, 0.1, 0.5, 0.9, 1];

export function drawPolicy(random: Random): ImagePolicy {
  const dice = random.next();
  if (dice < 0.15) return { name: "nothing", pages: 0, files: 0, folders: 0, torn: 0 };
  if (dice < 0.2) return { name: "everything", pages: 1, files: 1, folders: 1, torn: 0 };
  const share = (): number => SHARES[random.between(0, SHARES.length - 1)]!;
  return { name: "some", pages: share(), files: 0.3 + 0.7 * random.next(), folders: share(), torn: 0.3 * random.next() };
}

/** @returns how many pages, sizes and folder changes were there to be lost */
export function writeImage(files: CrashFiles, target: string, random: Random, policy: ImagePolicy): number {
  return writeFolder(files.root, target, random, policy);
}

function writeFolder(folder: CrashFolder, target: string, random: Random, policy: ImagePolicy): number {
  mkdirSync(target);
  const entries = new Map(folder.durable);
  let uncertain = folder.pending.length;
  let kept = folder.pending.length;
  if (!random.chance(policy.folders)) kept = policy.folders === 0 ? 0 : random.between(0, folder.pending.length);
  for (const change of folder.pending.slice(0, kept)) change(entries);
  for (const [name, node] of entries) {
    const path = join(target, name);
    if (node instanceof CrashFolder) uncertain += writeFolder(node, path, random, policy);
    else {
      uncertain += node.versions.size + node.sizes.length;
      writeFileSync(path, contentOf(node, random, policy));
    }
  }
  return uncertain;
}

function contentOf(file: CrashFile, random: Random, policy: ImagePolicy): Buffer {
  if (file.versions.size === 0 && file.sizes.length === 0) return file.durable;
  const touched = random.chance(policy.files);
  const size = touched ? drawSize(file, random, policy) : file.durable.length;
  const content = Buffer.alloc(size);
  content.set(file.durable.subarray(0, size));
  if (!touched) return content;
  for (const [page, versions] of file.versions) {
    if (page * PAGE_BYTES >= size || !random.chance(policy.pages)) continue;
    const at = page * PAGE_BYTES;
    const newest = policy.name === "everything" ? versions.length - 1 : random.between(0, versions.length - 1);
    if (!random.chance(policy.torn)) content.set(versions[newest]!.bytes.subarray(0, size - at), at);
    else tear(content, at, [newest > 0 ? versions[newest - 1]!.bytes : undefined, versions[newest]!.bytes], random);
  }
  return content;
}

/** Each sector is of the one state or of the other; undefined: what is there already. */
function tear(content: Buffer, at: number, states: readonly [Buffer | undefined, Buffer], random: Random): void {
  for (let within = 0; within < PAGE_BYTES; within += SECTOR_BYTES) {
    const bytes = random.chance(0.5) ? states[1] : states[0];
    if (bytes !== undefined && at + within < content.length) bytes.copy(content, at + within, within, within + SECTOR_BYTES);
  }
}

function drawSize(file: CrashFile, random: Random, policy: ImagePolicy): number {
  if (policy.name === "everything") return file.sizes.at(-1)?.size ?? file.durable.length;
  const drawn = random.between(0, file.sizes.length);
  return drawn === 0 ? file.durable.length : file.sizes[drawn - 1]!.size;
}
