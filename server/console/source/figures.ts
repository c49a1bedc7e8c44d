// Numbers as people read them: rounded, and with their units.
import { language } from "./preferences";
import { words } from "./words/words";

export const NOTHING = "–";

export function count(value: number | null | undefined): string {
  return value == null ? NOTHING : value.toLocaleString(locale());
}

export function rate(value: number | null | undefined): string {
  return value == null ? NOTHING : `${rounded(value)} ${words.value.perSecond}`;
}

export function seconds(value: number | null | undefined): string {
  if (value == null) return NOTHING;
  return value < 1 ? `${Math.round(value * 1000)} ms` : `${rounded(value)} s`;
}

export function bytes(value: number | null | undefined): string {
  if (value == null) return NOTHING;
  const units = ["B", "kB", "MB", "GB"];
  let size = value;
  let place = 0;
  while (size >= 1000 && place < units.length - 1) {
    size /= 1000;
    place += 1;
  }
  return `${rounded(size)} ${units[place]}`;
}

export function share(value: number | null | undefined): string {
  return value == null ? NOTHING : `${(value * 100).toFixed(value < 0.1 ? 1 : 0)} %`;
}

export function time(iso: string | null | undefined): string {
  return iso ? moment(new Date(iso)) : NOTHING;
}

// `value` is in seconds since 1970.
export function timeOf(value: number | null | undefined): string {
  return value ? moment(new Date(value * 1000)) : NOTHING;
}

// The time of the day of `value`, in seconds since 1970.
export function clock(value: number): string {
  return new Date(value * 1000).toLocaleTimeString(locale());
}

export function minute(value: number): string {
  return new Date(value * 1000).toLocaleTimeString(locale(), { hour: "2-digit", minute: "2-digit" });
}

function moment(when: Date): string {
  return when.toLocaleString(locale(), { dateStyle: "medium", timeStyle: "medium" });
}

function rounded(value: number): string {
  const digits = value < 10 ? 2 : value < 100 ? 1 : 0;
  return value.toLocaleString(locale(), { maximumFractionDigits: digits });
}

function locale(): string {
  return language.value === "zh" ? "zh-CN" : "en-GB";
}
