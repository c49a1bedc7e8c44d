// What tenants, keys and adapters have used, with an amount where there are prices.
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { count, NOTHING } from "../../figures";
import { Button } from "../../parts/button";
import { Empty } from "../../parts/empty";
import { Newest } from "../../parts/newest";
import { save } from "../../parts/saving";
import { Table, type Column } from "../../parts/table";
import { TextField } from "../../parts/text_field";
import { useLook } from "../../parts/use_look";
import { answered, fetched, server, type Schemas } from "../../server";
import { words } from "../../words/words";
import { Choice } from "../../parts/choice";

type Usage = Schemas["UsageAnswer"];
type Line = Schemas["UsageLine"];
// What the server calls the base in its figures.
const BASE = "__base__";

type Part = "tenant" | "adapter" | "key" | "version" | "call" | "day" | "month";

const CHOICES: Part[][] = [
  ["tenant", "adapter"],
  ["day"],
  ["day", "tenant"],
  ["key"],
  ["adapter", "version"],
  ["month", "tenant", "adapter"],
  ["call"],
];

export function UsageTab() {
  const told = words.value;
  const by = useSignal("tenant,adapter");
  const since = useSignal("");
  const until = useSignal("");
  const usage = useSignal<Usage | undefined>(undefined);
  const newest = useRef(new Newest());

  const query = () => ({
    by: by.value,
    ...(since.value && { since: since.value }),
    ...(until.value && { until: until.value }),
  });

  async function look(): Promise<void> {
    const params = { query: query() };
    const answer = await newest.current.ask((signal) =>
      answered(server.GET("/admin/usage", { params, signal })),
    );
    if (answer) usage.value = answer as Usage;
  }

  useLook(look, [by.value, since.value, until.value]);

  async function saveCsv(): Promise<void> {
    const asked = new URLSearchParams({ ...query(), format: "csv" });
    save("usage.csv", await (await fetched(`/admin/usage?${asked}`)).text(), "text/csv");
  }

  return (
    <>
      <div class="filters">
        <Choice
          label={told.by}
          value={by.value}
          change={(value) => (by.value = value)}
          options={CHOICES.map((parts) => ({
            value: parts.join(","),
            text: parts.map((part) => told[part]).join(" × "),
          }))}
        />
        <TextField type="date" label={told.since} value={since.value} change={(day) => (since.value = day)} />
        <TextField type="date" label={told.until} value={until.value} change={(day) => (until.value = day)} />
        <Button act={saveCsv}>{told.saveCsv}</Button>
      </div>
      {!usage.value && <p class="hint">{told.loading}</p>}
      {usage.value && (usage.value.lines.length ? <Lines usage={usage.value} /> : <Empty title={told.noUsage} />)}
    </>
  );
}

function Lines({ usage }: { usage: Usage }) {
  const told = words.value;
  const parts = usage.by as Part[];
  const named: Column<Line>[] = parts.map((part) => ({
    key: part,
    title: told[part],
    value: (line) => line[part],
    cell: (line) => (line[part] === BASE ? told.base : line[part] || NOTHING),
  }));
  const amount: Column<Line> = {
    key: "amount",
    title: told.amount,
    numeric: true,
    value: (line) => Number(line.amount ?? 0),
    cell: (line) => money(line, usage),
  };
  const columns = [
    ...named,
    number("requests", told.requests),
    number("prompt_tokens", told.promptTokens),
    number("cached_tokens", told.cachedTokens),
    number("generated_tokens", told.generatedTokens),
    ...(usage.currency ? [amount] : []),
  ];
  const { total } = usage;
  const totals: [string, string][] = [
    [`${told.total}${told.colon}${told.requests}`, count(total.requests)],
    [told.promptTokens, count(total.prompt_tokens)],
    [told.generatedTokens, count(total.generated_tokens)],
    ...(usage.currency ? [[told.amount, money(total, usage)] as [string, string]] : []),
  ];
  return (
    <>
      <dl class="facts totals" aria-label={told.total}>
        {totals.map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
      <Table
        label={told.usage}
        rows={usage.lines}
        columns={columns}
        name={(line) => parts.map((part) => line[part]).join("|")}
      />
    </>
  );
}

function money(line: Line, usage: Usage): string {
  return line.amount == null ? NOTHING : `${line.amount} ${usage.currency}`;
}

type Counted = "requests" | "prompt_tokens" | "cached_tokens" | "generated_tokens";

function number(key: Counted, title: string): Column<Line> {
  return { key, title, numeric: true, value: (line) => line[key], cell: (line) => count(line[key]) };
}
