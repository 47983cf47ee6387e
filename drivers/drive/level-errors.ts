/**
 * What LevelDB and the file system report, as DriveErrors: the one mapping table of this boundary.
 */
import { existsSync } from "node:fs";
import { DriveError, type DriveErrorKind } from "./drive.ts";

export type LevelIntent = "open" | "read" | "write";

const KIND_OF_INTENT: Readonly<Record<LevelIntent, DriveErrorKind>> = {
  open: "unrecoveredRead",
  read: "unrecoveredRead",
  write: "writeFailed",
};

const NO_SPACE = /No space left on device|Disk quota exceeded|ENOSPC|EDQUOT/;

/** Error code and text of an error and of its causes (abstract-level wraps what the binding threw). */
function describe(error: unknown): { readonly codes: string; readonly text: string } {
  let codes = "";
  let text = "";
  let next = error;
  for (let depth = 0; depth < 4 && next instanceof Error; depth++) {
    codes += ` ${(next as NodeJS.ErrnoException).code ?? ""}`;
    text += `${text === "" ? "" : ": "}${next.message}`;
    next = next.cause;
  }
  return { codes, text: text === "" ? String(error) : text };
}

/**
 * @param folder - the drive's folder: when it is gone, the drive is unreachable whatever LevelDB says
 * @param what - what was tried, for the message
 */
export function driveErrorOf(
  error: unknown,
  context: { drive: string; folder: string; intent: LevelIntent; what: string },
): DriveError {
  if (error instanceof DriveError) return error;
  const { codes, text } = describe(error);
  let kind = KIND_OF_INTENT[context.intent];
  if (NO_SPACE.test(text) || NO_SPACE.test(codes)) kind = "noSpace";
  else if (!existsSync(context.folder)) kind = "unreachable";
  else if (codes.includes("LEVEL_LOCKED")) kind = "unreachable";
  return new DriveError(kind, context.drive, `${context.what}: ${text}`, { cause: error });
}
