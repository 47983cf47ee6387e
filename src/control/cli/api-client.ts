/**
 * The CLI's way to the API: address, token, and failures told apart by exit status.
 *
 * A token that was given (flag, variable) goes with every request. One that was only found in a data folder goes with
 * changes, and with a read that asked for one: the folder may be another array's.
 */
import { existsSync } from "node:fs";
import { readToken, tokenFile } from "../api/api-token.ts";

/** 0 done · 1 the array refused, or is not ready · 2 used wrongly · 3 not reached. */
export const EXIT = { done: 0, refused: 1, usage: 2, unreachable: 3 } as const;

export class CliError extends Error {
  readonly exitStatus: number;

  constructor(exitStatus: number, message: string) {
    super(message);
    this.name = "CliError";
    this.exitStatus = exitStatus;
  }
}

const REQUEST_SECONDS = 30;

export interface ClientOptions {
  readonly api?: string;
  readonly token?: string;
  readonly data?: string;
}

export class ApiClient {
  private readonly base: string;
  private readonly givenToken: string | undefined;
  private readonly dataFolder: string;

  constructor(options: ClientOptions, env: NodeJS.ProcessEnv) {
    const address = options.api ?? (env.VARRAY_API || "http://127.0.0.1:8080");
    this.base = (/^https?:\/\//.test(address) ? address : `http://${address}`).replace(/\/+$/, "");
    if (!URL.canParse(this.base)) throw new CliError(EXIT.usage, `"${address}" is no address: use http://host:port`);
    this.givenToken = options.token ?? (env.VARRAY_TOKEN || env.VARRAY_API_TOKEN || undefined);
    this.dataFolder = options.data ?? (env.VARRAY_DATA || "./varray-data");
  }

  get<T>(path: string): Promise<T> {
    return this.json("GET", path);
  }

  post<T>(path: string, body?: object, seconds?: number): Promise<T> {
    return this.json("POST", path, body, seconds);
  }

  patch<T>(path: string, body: object): Promise<T> {
    return this.json("PATCH", path, body);
  }

  put<T>(path: string, body: object): Promise<T> {
    return this.json("PUT", path, body);
  }

  delete<T>(path: string): Promise<T> {
    return this.json("DELETE", path);
  }

  /** The answer whatever its status: for health, which is 503 when it has something to say. */
  async getWithStatus<T>(path: string): Promise<{ readonly status: number; readonly body: T }> {
    const response = await this.send("GET", path, undefined, REQUEST_SECONDS);
    return { status: response.status, body: (await this.bodyOf(response)) as T };
  }

  async text(path: string): Promise<string> {
    const response = await this.send("GET", path, undefined, REQUEST_SECONDS);
    if (!response.ok) throw await this.refusal(response);
    return response.text();
  }

  /** A response whose body is still coming; no deadline. */
  async stream(path: string): Promise<ReadableStream<Uint8Array>> {
    const response = await this.send("GET", path, undefined, undefined);
    if (!response.ok) throw await this.refusal(response);
    return response.body!;
  }

  private async json<T>(method: string, path: string, body?: object, seconds: number = REQUEST_SECONDS): Promise<T> {
    const response = await this.send(method, path, body, seconds);
    if (!response.ok) throw await this.refusal(response);
    return (await this.bodyOf(response)) as T;
  }

  private async send(method: string, path: string, body: object | undefined, seconds: number | undefined): Promise<Response> {
    const first = await this.request(
      method,
      path,
      body,
      seconds,
      this.givenToken ?? (method === "GET" ? undefined : this.foundToken()),
    );
    if (first.status !== 401 || method !== "GET" || this.givenToken !== undefined) return first;
    const found = this.foundToken();
    return found === undefined ? first : this.request(method, path, body, seconds, found);
  }

  private async request(
    method: string,
    path: string,
    body: object | undefined,
    seconds: number | undefined,
    token: string | undefined,
  ) {
    try {
      return await fetch(`${this.base}${path}`, {
        method,
        headers: {
          ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
          ...(body === undefined ? {} : { "content-type": "application/json" }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        ...(seconds === undefined ? {} : { signal: AbortSignal.timeout(seconds * 1000) }),
      });
    } catch (error) {
      const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
      const why = cause?.code ?? cause?.message ?? (error as Error).message;
      throw new CliError(
        EXIT.unreachable,
        `can't reach the array at ${this.base} (${why}): is it started? --api or VARRAY_API name another address`,
      );
    }
  }

  private foundToken(): string | undefined {
    const file = tokenFile(this.dataFolder);
    if (!existsSync(file)) return undefined;
    try {
      return readToken(file);
    } catch (error) {
      throw new CliError(EXIT.usage, `can't use the token: ${(error as Error).message}`);
    }
  }

  private async refusal(response: Response): Promise<CliError> {
    const body = await this.bodyOf(response).catch(() => undefined);
    const error = (body as { error?: { message?: string; field?: string } } | undefined)?.error;
    const message = error?.message ?? `${response.status} ${response.statusText}`;
    const hint = response.status === 401 ? " (here: --token, VARRAY_TOKEN, or --data <the array's data folder>)" : "";
    return new CliError(EXIT.refused, `${message}${hint}`);
  }

  private async bodyOf(response: Response): Promise<unknown> {
    const text = await response.text();
    try {
      return JSON.parse(text);
    } catch {
      throw new CliError(EXIT.refused, `${this.base} answers ${response.status} and no JSON: is this varray's API?`);
    }
  }
}
