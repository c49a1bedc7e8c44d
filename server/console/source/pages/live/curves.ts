// Turns the spans of the last hour into curves.
import type { Span } from "../../following";
import type { Curve } from "../../parts/chart";
import type { Figures } from "../../server";
import { words } from "../../words/words";

export type By = "all" | "adapter" | "tenant" | "key";

const SHOWN = 6;
const HOUR = 360;

const NO_FIGURES: Figures = {
  requests: 0,
  errors: 0,
  tokens: 0,
  tokens_per_s: 0,
  first_token_p50_s: null,
  first_token_p99_s: null,
};

// Returns the last hour with a span for every ten seconds: also those before the server began.
export function wholeHour(spans: Span[]): Span[] {
  const last = spans.at(-1)?.at ?? Math.floor(Date.now() / 10_000) * 10;
  const by = new Map(spans.map((span) => [span.at, span]));
  return Array.from({ length: HOUR }, (_, place) => {
    const at = last - (HOUR - 1 - place) * 10;
    return by.get(at) ?? { at, seconds: 10, all: NO_FIGURES, gauges: {}, by: {} };
  });
}

type Pick = (figures: Figures) => number | null;

export function byGroup(spans: Span[], by: By, pick: Pick, missing: number | null): Curve[] {
  if (by === "all") {
    return [{ label: words.value.all, values: spans.map((span) => pick(span.all)) }];
  }
  return largest(spans, by).map((name) => ({
    label: name,
    values: spans.map((span) => {
      const figures = span.by[by]?.[name];
      return figures ? pick(figures) : missing;
    }),
  }));
}

// The names with most tokens in the hour.
function largest(spans: Span[], by: By): string[] {
  const tokens = new Map<string, number>();
  for (const span of spans) {
    for (const [name, figures] of Object.entries(span.by[by] ?? {})) {
      tokens.set(name, (tokens.get(name) ?? 0) + figures.tokens);
    }
  }
  const ordered = [...tokens].sort(([, one], [, two]) => two - one);
  return ordered.slice(0, SHOWN).map(([name]) => name);
}

export function gauge(spans: Span[], name: string): (number | null)[] {
  return spans.map((span) => span.gauges[name] ?? null);
}

// How much a count grew in each span.
export function deltas(spans: Span[], name: string): (number | null)[] {
  const values = gauge(spans, name);
  return values.map((value, place) => {
    const before = values[place - 1];
    return value === null || before == null ? null : Math.max(0, value - before);
  });
}
