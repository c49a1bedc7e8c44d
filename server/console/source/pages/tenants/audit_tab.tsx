// Who did what to keys, limits and adapters, newest first, with a search.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { NOTHING, time } from "../../figures";
import { connection } from "../../following";
import { Button } from "../../parts/button";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Newest } from "../../parts/newest";
import { tellProblem } from "../../parts/notices";
import { save } from "../../parts/saving";
import { Table, type Column } from "../../parts/table";
import { TextField } from "../../parts/text_field";
import { answered, fetched, server, type Schemas } from "../../server";
import { may } from "../../session";
import { words } from "../../words/words";

type Row = Schemas["AuditRowAnswer"];

const SHOWN = 10_000;
const PAUSE_MS = 300;

export function AuditTab() {
  const told = words.value;
  const search = useSignal({ who: "", action: "", target: "", since: "", until: "" });
  const rows = useSignal<Row[] | undefined>(undefined);
  const newest = useRef(new Newest());

  const query = () =>
    Object.fromEntries(Object.entries(search.value).filter(([, text]) => text.trim()));

  const isThere = connection.value === "open";
  useEffect(() => {
    if (!may("owner") || !isThere) return;
    // Whoever types is not asked for at each letter.
    const timer = setTimeout(() => look().catch(tellProblem), PAUSE_MS);
    return () => clearTimeout(timer);
  }, [search.value, isThere]);

  async function look(): Promise<void> {
    const params = { query: { ...query(), limit: SHOWN } };
    const answer = await newest.current.ask((signal) =>
      answered(server.GET("/admin/audit", { params, signal })),
    );
    if (answer) rows.value = (answer as Schemas["AuditAnswer"]).rows;
  }

  async function saveCsv(): Promise<void> {
    const asked = new URLSearchParams({ ...query(), limit: String(SHOWN), format: "csv" });
    save("audit.csv", await (await fetched(`/admin/audit?${asked}`)).text(), "text/csv");
  }

  if (!may("owner")) return <Empty title={told.ownerOnly} />;

  const field = (name: keyof typeof search.value, label: string, type: "text" | "date" = "text") => (
    <TextField
      type={type}
      label={label}
      value={search.value[name]}
      change={(text) => (search.value = { ...search.value, [name]: text })}
    />
  );
  return (
    <>
      <div class="filters">
        {field("who", told.who)}
        {field("action", told.action)}
        {field("target", told.target)}
        {field("since", told.since, "date")}
        {field("until", told.until, "date")}
        <Button act={saveCsv}>{told.saveCsv}</Button>
      </div>
      {!rows.value && <p class="hint">{told.loading}</p>}
      {rows.value?.length === 0 && <Empty title={told.noAudit} />}
      {rows.value && rows.value.length > 0 && (
        <Table label={told.audit} rows={rows.value} columns={columns()} name={(row) => String(row.number)} />
      )}
    </>
  );
}

function columns(): Column<Row>[] {
  const told = words.value;
  return [
    { key: "number", title: "#", numeric: true, value: (row) => row.number, cell: (row) => row.number },
    { key: "at", title: told.when, value: (row) => row.at, cell: (row) => time(row.at) },
    { key: "who", title: told.who, value: (row) => row.who, cell: (row) => row.who ?? NOTHING },
    {
      key: "action",
      title: told.action,
      value: (row) => row.action,
      cell: (row) => <Chip text={row.action ?? NOTHING} />,
    },
    { key: "target", title: told.target, value: (row) => row.target, cell: (row) => row.target ?? NOTHING },
    {
      key: "result",
      title: told.result,
      value: (row) => row.result,
      cell: (row) => <Result text={row.result} />,
    },
  ];
}

function Result({ text }: { text: string }) {
  if (text === "ok") return <Chip text={words.value.done} tone="good" />;
  return (
    <>
      <Chip text={words.value.refused} tone="bad" /> <span lang="en">{text}</span>
    </>
  );
}
