/** What every route answers beside its own: the error body, so that the OpenAPI document shows it. */
import type { TSchema } from "typebox";
import { ErrorBody } from "./schemas.ts";

export function answers(status: number, body: TSchema): Record<string | number, TSchema> {
  return { [status]: body, "4xx": ErrorBody, "5xx": ErrorBody };
}

/** In the OpenAPI document: this needs the token. */
export const WITH_TOKEN = [{ token: [] }];
