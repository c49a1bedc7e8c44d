// The one stream of events that keeps the console up to date: the last hour, and what happens.
// It pauses while nobody looks, and comes back by itself when the server does.
import { batch, signal } from "@preact/signals";
import { fetched, Problem, type Figures, type Happening } from "./server";
import { piecesOf } from "./server_sent_events";

export interface Span {
  at: number;
  seconds: number;
  all: Figures;
  gauges: Record<string, number | null>;
  by: Record<string, Record<string, Figures>>;
}

export interface Now {
  gauges: Record<string, number | null>;
  slots: { count: number | null; held: string[] };
}

export const SPANS_KEPT = 360;
export const HAPPENINGS_KEPT = 1000;

export const connection = signal<"connecting" | "open" | "away" | "paused">("connecting");
export const spans = signal<Span[]>([]);
export const now = signal<Now | null>(null);
// Newest first.
export const happenings = signal<Happening[]>([]);

const AGAIN_MS = [500, 1000, 2000, 5000];

// Follows until the returned function is called.
export function follow(): () => void {
  let stopped = false;
  let current = new AbortController();

  function look(): void {
    if (document.hidden) current.abort();
  }

  async function run(): Promise<void> {
    for (let failures = 0; !stopped; failures++) {
      if (document.hidden) {
        connection.value = "paused";
        await shown();
        failures = 0;
      }
      current = new AbortController();
      if (await read(current.signal)) failures = 0;
      if (stopped || document.hidden) continue;

      connection.value = "away";
      await pause(AGAIN_MS[Math.min(failures, AGAIN_MS.length - 1)]!);
    }
  }

  connection.value = "connecting";
  document.addEventListener("visibilitychange", look);
  void run();
  return () => {
    stopped = true;
    current.abort();
    document.removeEventListener("visibilitychange", look);
  };
}

// Returns whether the stream was open before it ended.
async function read(signal: AbortSignal): Promise<boolean> {
  let opened = false;
  try {
    for await (const events of piecesOf(await fetched("/admin/live", { signal }))) {
      opened = true;
      // Drawn once, however many came together.
      batch(() => {
        connection.value = "open";
        events.forEach((event) => take(event.kind, JSON.parse(event.data)));
      });
    }
  } catch (error) {
    if (!(error instanceof Problem || error instanceof Error)) throw error;
  }
  return opened;
}

function take(kind: string, data: unknown): void {
  if (kind === "hour") spans.value = (data as { spans: Span[] }).spans;
  if (kind === "span") spans.value = [...spans.value, data as Span].slice(-SPANS_KEPT);
  if (kind === "now") now.value = data as Now;
  if (kind === "happened") {
    happenings.value = [data as Happening, ...happenings.value].slice(0, HAPPENINGS_KEPT);
  }
}

function shown(): Promise<void> {
  return new Promise((resolve) => {
    document.addEventListener("visibilitychange", () => resolve(), { once: true });
  });
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
