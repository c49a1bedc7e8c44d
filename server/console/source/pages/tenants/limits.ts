// The limits of a key, as the server names them.
import type { Key } from "../../server";
import { words } from "../../words/words";

export const LIMITS = [
  "requests_per_minute",
  "tokens_per_minute",
  "tokens_per_day",
  "tokens_per_month",
  "parallel",
] as const;

export type Limit = (typeof LIMITS)[number];

export function limitsOf(key: Key): string {
  const set = LIMITS.filter((name) => key[name] !== null);
  if (set.length === 0) return words.value.noLimits;
  return set.map((name) => `${words.value.limitNames[name]} ${key[name]!.toLocaleString()}`).join(", ");
}
