// The adapters of the server and what they did in the last hour, as they are now.
import { effect, signal } from "@preact/signals";
import { connection, happenings, spans } from "../following";
import { Newest } from "../parts/newest";
import { answered, server, type Adapter, type Figures } from "../server";

// Undefined until they have been asked for.
export const adapters = signal<Adapter[] | undefined>(undefined);
export const figures = signal<Record<string, Figures>>({});

// Changes come in bursts: a folder that is copied, a rescan.
const SETTLED_MS = 250;

const newestLook = new Newest();
const newestFigures = new Newest();

export async function lookAtAdapters(): Promise<void> {
  const told = await newestLook.ask((signal) => answered(server.GET("/admin/adapters", { signal })));
  if (told) adapters.value = told.adapters;
}

async function lookAtFigures(): Promise<void> {
  const query = { by: "adapter" as const, seconds: 3600 };
  const told = await newestFigures.ask((signal) =>
    answered(server.GET("/admin/figures", { params: { query }, signal })),
  );
  if (told) figures.value = told.figures;
}

// Puts one adapter that was just answered in its place.
export function put(adapter: Adapter): void {
  adapters.value = adapters.value?.map((one) => (one.name === adapter.name ? adapter : one));
}

// Keeps both up to date until the returned function is called.
export function keepAdapters(): () => void {
  let timer = 0;

  function soon(look: () => Promise<void>, after: number): void {
    clearTimeout(timer);
    timer = window.setTimeout(() => look().catch(() => undefined), after);
  }

  const stops = [
    effect(() => {
      happenings.value;
      if (connection.value === "open") soon(lookAtAdapters, SETTLED_MS);
    }),
    effect(() => {
      spans.value;
      if (connection.value === "open") lookAtFigures().catch(() => undefined);
    }),
  ];
  lookAtAdapters().catch(() => undefined);
  return () => {
    clearTimeout(timer);
    stops.forEach((stop) => stop());
  };
}
