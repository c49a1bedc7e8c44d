// The language and the theme that somebody has chosen, kept in their browser.
import { effect, signal } from "@preact/signals";

export type Language = "en" | "zh";
export type Theme = "light" | "dark";

export const language = signal<Language>(kept("language", ["en", "zh"]) ?? browsersLanguage());
export const theme = signal<Theme>(kept("theme", ["light", "dark"]) ?? browsersTheme());

function kept<Value extends string>(name: string, values: Value[]): Value | undefined {
  const value = localStorage.getItem(`lorabay.${name}`);
  return values.find((one) => one === value);
}

function browsersLanguage(): Language {
  return navigator.language.startsWith("zh") ? "zh" : "en";
}

function browsersTheme(): Theme {
  return matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
}

export function choose(name: "language" | "theme", value: string): void {
  localStorage.setItem(`lorabay.${name}`, value);
  if (name === "language") language.value = value as Language;
  else theme.value = value as Theme;
}

// Keeps the document in step with both.
export function takeUpPreferences(): void {
  effect(() => {
    document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en";
    document.documentElement.dataset.theme = theme.value;
  });
}
