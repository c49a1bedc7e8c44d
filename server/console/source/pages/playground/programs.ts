// The same request for a terminal and for a program. The key is named, and never written.
import type { Body } from "./bodies";

export function asCurl(body: Body): string {
  const text = JSON.stringify(body, null, 2).replaceAll("'", "'\\''");
  return [
    `curl -s ${location.origin}/v1/chat/completions`,
    `  -H "Authorization: Bearer $LORABAY_API_KEY"`,
    `  -H "Content-Type: application/json"`,
    `  -d '${text}'`,
  ].join(" \\\n");
}

export function asPython(body: Body): string {
  const lines = Object.entries(body).map(([name, value]) => `    ${name}=${python(value)},`);
  return [
    "import os",
    "",
    "from openai import OpenAI",
    "",
    `client = OpenAI(base_url="${location.origin}/v1", api_key=os.environ["LORABAY_API_KEY"])`,
    "answer = client.chat.completions.create(",
    ...lines,
    ")",
    "print(answer.choices[0].message.content)",
  ].join("\n");
}

function python(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (Array.isArray(value)) return `[${value.map(python).join(", ")}]`;
  if (typeof value === "object") {
    const items = Object.entries(value as Body).map(([name, one]) => `${python(name)}: ${python(one)}`);
    return `{${items.join(", ")}}`;
  }
  return JSON.stringify(value);
}
