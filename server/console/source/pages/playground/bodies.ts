// The bodies of requests: what the columns and the options of the playground come to.
import type { Column, Options, Turn } from "../../stores/playground";
import { words } from "../../words/words";

export type Body = Record<string, unknown>;

const TOP_LOGPROBS = 3;

// Throws an Error for a field that is not JSON.
export function bodyOf(column: Column, options: Options, turns: Turn[], prompt: string): Body {
  const body: Body = { model: column.model, messages: messages(options, turns, prompt) };
  setNumber(body, "temperature", column.temperature);
  setNumber(body, "top_p", column.topP);
  setNumber(body, "max_tokens", column.maxTokens);
  setNumber(body, "seed", column.seed);
  if (options.logprobs) Object.assign(body, { logprobs: true, top_logprobs: TOP_LOGPROBS });

  const schema = parsed(options.schema, words.value.schema);
  if (schema) {
    body.response_format = { type: "json_schema", json_schema: { name: "answer", schema } };
  }
  const tools = parsed(options.tools, words.value.tools);
  if (tools) body.tools = tools;
  return body;
}

function messages(options: Options, turns: Turn[], prompt: string): Body[] {
  const system = options.system.trim();
  const former = turns
    .filter((turn) => turn.answer.text)
    .flatMap((turn) => [
      { role: "user", content: turn.prompt },
      { role: "assistant", content: turn.answer.text },
    ]);
  return [
    ...(system ? [{ role: "system", content: system }] : []),
    ...former,
    { role: "user", content: prompt },
  ];
}

function setNumber(body: Body, name: string, text: string): void {
  if (text.trim() !== "") body[name] = Number(text);
}

function parsed(text: string, field: string): unknown {
  if (!text.trim()) return undefined;
  try {
    return JSON.parse(text);
  } catch {
    throw new Error(words.value.badJson(field));
  }
}
