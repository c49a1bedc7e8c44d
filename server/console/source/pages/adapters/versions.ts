// What can be told of versions without asking the server: which is live, and what differs in two.
import { bytes } from "../../figures";
import type { Adapter, Version } from "../../server";
import { words } from "../../words/words";

export const DIGEST_SHOWN = 12;

export function liveOf(adapter: Adapter): Version | undefined {
  return adapter.versions.find((version) => version.live);
}

// `finance@3f9c1a2b4d5e...` as its first twelve characters of the digest.
export function shortVersion(id: string): string {
  return id.slice(id.lastIndexOf("@") + 1).slice(0, DIGEST_SHOWN);
}

export interface Difference {
  what: string;
  before: string;
  after: string;
}

export function differences(before: Version, after: Version): Difference[] {
  const told = words.value;
  const facts: [string, string, string][] = [
    [told.format, before.format, after.format],
    [told.rank, String(before.rank), String(after.rank)],
    [told.alpha, String(before.alpha), String(after.alpha)],
    [told.size, bytes(before.size_bytes), bytes(after.size_bytes)],
    [told.modules, before.modules.join(", "), after.modules.join(", ")],
    [told.warnings, before.warnings.join("; "), after.warnings.join("; ")],
    ...differentDefaults(before, after),
  ];
  return facts
    .filter(([, one, two]) => one !== two)
    .map(([what, one, two]) => ({ what, before: one || "–", after: two || "–" }));
}

function differentDefaults(before: Version, after: Version): [string, string, string][] {
  const names = new Set([...Object.keys(before.defaults), ...Object.keys(after.defaults)]);
  return [...names].map((name) => [
    `${words.value.defaults}${words.value.colon}${name}`,
    JSON.stringify(before.defaults[name]) ?? "",
    JSON.stringify(after.defaults[name]) ?? "",
  ]);
}
