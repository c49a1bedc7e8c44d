// Asks every column at once, and lets each answer come in by itself.
import { fetched, Problem } from "../../server";
import { eventsOf } from "../../server_sent_events";
import { columns, options, setTurn, turnsOf, type Column } from "../../stores/playground";
import { words } from "../../words/words";
import { NO_ANSWER, withChunk, type Answer } from "./answers";
import { bodyOf, type Body } from "./bodies";

let running = new AbortController();

export function stopAsking(): void {
  running.abort();
}

// Throws an Error for options that cannot be sent; what a column's server says is in its answer.
export async function askAll(prompt: string): Promise<void> {
  const bodies = columns.value.map((column) =>
    bodyOf(column, options.value, turnsOf(column.id), prompt),
  );
  running = new AbortController();
  const asked = columns.value.map((column, place) =>
    askOne(column, prompt, bodies[place]!, running.signal),
  );
  await Promise.all(asked);
}

async function askOne(column: Column, prompt: string, body: Body, signal: AbortSignal): Promise<void> {
  const place = turnsOf(column.id).length;
  const began = performance.now();
  let answer: Answer = NO_ANSWER;

  function show(next: Answer): void {
    answer = next;
    setTurn(column.id, place, { prompt, answer });
  }

  show(answer);
  try {
    const response = await fetched("/v1/chat/completions", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ ...body, stream: true, stream_options: { include_usage: true } }),
      signal,
    });
    for await (const { data } of eventsOf(response)) {
      if (data !== "[DONE]") show(withChunk(answer, data, (performance.now() - began) / 1000));
    }
  } catch (error) {
    // What is no Problem is a stream that broke off.
    const told = error instanceof Problem ? error.message : words.value.serverAway;
    if (!signal.aborted) show({ ...answer, problem: told });
  }
  show({ ...answer, isRunning: false });
}
