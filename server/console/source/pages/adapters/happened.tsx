// What happened to one adapter: who did what, when, and with which result.
import { useSignal } from "@preact/signals";
import { time } from "../../figures";
import { happenings } from "../../following";
import { Chip } from "../../parts/chip";
import { useLook } from "../../parts/use_look";
import { answered, server, type Happening } from "../../server";
import { words } from "../../words/words";
import { shortVersion } from "./versions";

const SHOWN = 30;
const ASKED = 1000;

export function Happened({ name }: { name: string }) {
  const before = useSignal<Happening[] | undefined>(undefined);

  useLook(async () => {
    const params = { query: { count: ASKED } };
    before.value = (await answered(server.GET("/admin/events", { params }))).events;
  }, [name]);

  const events = together(happenings.value, before.value ?? []).filter((one) => one.adapter === name);
  return (
    <section class="panel">
      <h2>{words.value.happened}</h2>
      {events.length === 0 && (
        <p class="hint">{before.value ? words.value.nothingHappened : words.value.loading}</p>
      )}
      <ul class="events">
        {events.slice(0, SHOWN).map((one, place) => (
          <li key={place}>
            <Chip text={words.value.happenings[one.what] ?? one.what} tone={one.result === "ok" ? "plain" : "bad"} />{" "}
            {one.version && <code>{shortVersion(one.version)}</code>}{" "}
            <span class="hint">
              {time(one.when)} · {words.value.actors[one.who] ?? one.who}
            </span>
            {one.result !== "ok" && <p class="problem" lang="en">{one.result}</p>}
          </li>
        ))}
      </ul>
    </section>
  );
}

// What the stream has told since, and what the server knew before; both newest first.
function together(since: Happening[], before: Happening[]): Happening[] {
  const newest = before[0]?.when ?? "";
  return [...since.filter((one) => one.when > newest), ...before];
}
