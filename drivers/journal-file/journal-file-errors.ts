/** What the file system reports of a journal's file, as JournalFileErrors: the one mapping table of this boundary. */
import { JournalFileError } from "./journal-file.ts";

const KIND_OF_CODE: Readonly<Record<string, JournalFileError["kind"]>> = {
  ENOENT: "missing",
  ENOTDIR: "missing",
  ENOSPC: "noSpace",
  EDQUOT: "noSpace",
};

export function journalFileErrorOf(error: unknown, what: string): JournalFileError {
  if (error instanceof JournalFileError) return error;
  const { code, message } = error as NodeJS.ErrnoException;
  return new JournalFileError(KIND_OF_CODE[code ?? ""] ?? "io", `${what}: ${message}`, { cause: error });
}
