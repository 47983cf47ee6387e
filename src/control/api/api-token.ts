/**
 * Bearer tokens: where the admin's comes from, and who a request's token makes it.
 *
 * The made token is written once, whole and durable, with mode 0600; a start never replaces one that is there.
 */
import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import { chmodSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, statSync, writeSync } from "node:fs";
import path from "node:path";

const TOKEN_FILE_BYTES_MAX = 1024;

export interface AdminToken {
  readonly token: string;
  /** undefined where the token was configured. */
  readonly file: string | undefined;
}

/** @throws Error that names the file when it can't be made, read or understood */
export function adminToken(dataFolder: string, configured: string | undefined): AdminToken {
  if (configured !== undefined) return { token: configured, file: undefined };
  const file = tokenFile(dataFolder);
  mkdirSync(dataFolder, { recursive: true });
  try {
    const made = randomBytes(32).toString("base64url");
    const descriptor = openSync(file, "wx", 0o600);
    try {
      writeSync(descriptor, `${made}\n`);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    return { token: made, file };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  if ((statSync(file).mode & 0o077) !== 0) chmodSync(file, 0o600);
  return { token: readToken(file), file };
}

export function tokenFile(dataFolder: string): string {
  return path.join(dataFolder, "api-token");
}

/** @throws Error when there is no token in it */
export function readToken(file: string): string {
  const text = readFileSync(file, "utf8").slice(0, TOKEN_FILE_BYTES_MAX).trim();
  if (!/^[!-~]{16,256}$/.test(text)) {
    throw new Error(`${file} holds no token (16 to 256 printable characters): delete it, and the next start makes a new one`);
  }
  return text;
}

/** What a request may do. */
export type Role = "admin" | "reader" | "nobody" | "unknownToken";

/** Digests compare in constant time whatever the lengths. */
export function roleCheck(admin: string, reader: string | undefined): (authorization: string | undefined) => Role {
  const adminDigest = digest(admin);
  const readerDigest = reader === undefined ? undefined : digest(reader);
  return (authorization) => {
    if (authorization === undefined) return "nobody";
    const given = digest(/^Bearer +(.*)$/i.exec(authorization)?.[1]?.trim() ?? "");
    const isAdmin = timingSafeEqual(given, adminDigest);
    const isReader = readerDigest !== undefined && timingSafeEqual(given, readerDigest);
    return isAdmin ? "admin" : isReader ? "reader" : "unknownToken";
  };
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
