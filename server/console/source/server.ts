// Calls to the server, with types from its OpenAPI document, and what is told when one fails.
import createClient from "openapi-fetch";
import type { components, paths } from "./api";
import { sessionEnded } from "./session";
import { words } from "./words/words";

export type Schemas = components["schemas"];
export type Adapter = Schemas["AdapterAnswer"];
export type Version = Schemas["VersionAnswer"];
export type Happening = Schemas["EventAnswer"];
export type Figures = Schemas["Figures"];
export type Key = Schemas["KeyAnswer"];

export const API = "/console/api";

// Other pages cannot send this without asking the server first.
export const MARK = { "x-lorabay-console": "1" };

export const server = createClient<paths>({ baseUrl: API, headers: MARK });

// A reason of a refusal: the server's sentence, and its code if it has one.
export interface Reason {
  code?: string;
  text: string;
}

// What went wrong, in words for people. The status is 0 when there was no answer.
export class Problem extends Error {
  constructor(
    message: string,
    readonly status: number,
    // Every reason of a refusal, if there are several.
    readonly reasons: Reason[] = [],
  ) {
    super(message);
  }
}

interface Outcome<Data> {
  data?: Data;
  error?: unknown;
  response: Response;
}

// Returns what a call answered, or throws a Problem.
export async function answered<Data>(call: Promise<Outcome<Data>>): Promise<Data> {
  let outcome: Outcome<Data>;
  try {
    outcome = await call;
  } catch {
    throw new Problem(words.value.serverAway, 0);
  }
  if (outcome.response.ok) return outcome.data as Data;
  throw problemOf(outcome.response.status, outcome.error);
}

// Fetches something that is not JSON, or that is streamed; throws a Problem.
export async function fetched(path: string, request: RequestInit = {}): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(API + path, { ...request, headers: { ...MARK, ...request.headers } });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(words.value.serverAway, 0);
  }
  if (response.ok) return response;
  throw problemOf(response.status, await response.json().catch(() => null));
}

// What the server says of an error; before it, in a language that is not the server's, what it is.
export function sentence(told: Told | undefined): string | undefined {
  const what = words.value.errorCodes[told?.code ?? ""];
  return what && told?.message ? `${what}${words.value.colon}${told.message}` : told?.message;
}

export interface Told {
  message?: string;
  code?: string | null;
  reasons?: string[];
  reason_codes?: string[];
}

export function problemOf(status: number, body: unknown): Problem {
  if (status === 401) sessionEnded();
  const told = (body as { error?: Told } | null)?.error;
  const reasons = told?.reasons?.map((text, place) => ({ code: told.reason_codes?.[place], text }));
  return new Problem(sentence(told) ?? `${words.value.failed} (HTTP ${status})`, status, reasons);
}
