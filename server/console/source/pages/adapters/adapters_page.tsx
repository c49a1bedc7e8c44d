// Every adapter in one table: its state, its version, and what it did in the last hour.
import { useSignal } from "@preact/signals";
import { bytes, count, NOTHING, rate, seconds } from "../../figures";
import { Button } from "../../parts/button";
import { Empty } from "../../parts/empty";
import { Table, type Column } from "../../parts/table";
import { TextField } from "../../parts/text_field";
import { address } from "../../route";
import { answered, server, type Adapter } from "../../server";
import { adapters, figures } from "../../stores/adapters";
import { words } from "../../words/words";
import { UploadDialog } from "../uploads/upload_dialog";
import { liveOf, shortVersion } from "./versions";
import { StateChip } from "./state_chip";

export function AdaptersPage() {
  const filter = useSignal("");
  const isAdding = useSignal(false);
  const all = adapters.value;
  const shown = all?.filter((one) => matches(one, filter.value)) ?? [];

  return (
    <>
      <div class="row spread low">
        <h1>{words.value.adapters}</h1>
        <div class="row low">
          <TextField
            label={words.value.filter}
            placeholder={words.value.filterHint}
            type="search"
            value={filter.value}
            change={(value) => (filter.value = value)}
          />
          <span class="hint" aria-live="polite">
            {words.value.of(shown.length, all?.length ?? 0)}
          </span>
          <Button role="operator" act={rescan}>
            {words.value.rescan}
          </Button>
          <Button role="operator" kind="main" act={() => (isAdding.value = true)}>
            {words.value.addAdapter}
          </Button>
        </div>
      </div>
      {all?.length === 0 ? (
        <Empty title={words.value.noAdapters} hint={words.value.noAdaptersHint} />
      ) : all && shown.length === 0 ? (
        <Empty title={words.value.noMatch} />
      ) : (
        <Table
          label={words.value.adapters}
          rows={shown}
          columns={columns()}
          name={(one) => one.name}
          sortedBy="name"
        />
      )}
      {isAdding.value && <UploadDialog close={() => (isAdding.value = false)} />}
    </>
  );
}

async function rescan(): Promise<void> {
  adapters.value = (await answered(server.POST("/admin/rescan"))).adapters;
}

function matches(one: Adapter, filter: string): boolean {
  const live = liveOf(one);
  const told = [one.name, one.state, words.value.states[one.state], live?.format ?? ""];
  return told.join(" ").toLowerCase().includes(filter.trim().toLowerCase());
}

function columns(): Column<Adapter>[] {
  const told = words.value;
  const of = (one: Adapter) => figures.value[one.name];
  return [
    {
      key: "name",
      title: told.name,
      value: (one) => one.name,
      cell: (one) => <a href={address("adapters", one.name)}>{one.name}</a>,
    },
    {
      key: "state",
      title: told.state,
      value: (one) => one.state,
      cell: (one) => <StateChip adapter={one} />,
    },
    {
      key: "live",
      title: told.liveVersion,
      value: (one) => one.live,
      cell: (one) => <code>{one.live ? shortVersion(one.live) : NOTHING}</code>,
    },
    {
      key: "format",
      title: told.format,
      value: (one) => liveOf(one)?.format,
      cell: (one) => liveOf(one)?.format ?? NOTHING,
    },
    {
      key: "rank",
      title: told.rank,
      numeric: true,
      value: (one) => liveOf(one)?.rank,
      cell: (one) => count(liveOf(one)?.rank),
    },
    {
      key: "size",
      title: told.size,
      numeric: true,
      value: (one) => liveOf(one)?.size_bytes,
      cell: (one) => bytes(liveOf(one)?.size_bytes),
    },
    {
      key: "residency",
      title: told.residency,
      value: (one) => liveOf(one)?.level,
      cell: (one) => {
        const live = liveOf(one);
        return live ? told.levels[live.level] : NOTHING;
      },
    },
    {
      key: "requests",
      title: told.requestsHour,
      numeric: true,
      value: (one) => of(one)?.requests ?? 0,
      cell: (one) => count(of(one)?.requests ?? 0),
    },
    {
      key: "tokens",
      title: told.tokensHour,
      numeric: true,
      value: (one) => of(one)?.tokens_per_s ?? 0,
      cell: (one) => rate(of(one)?.tokens_per_s ?? 0),
    },
    {
      key: "first",
      title: told.firstTokenP50,
      numeric: true,
      value: (one) => of(one)?.first_token_p50_s,
      cell: (one) => seconds(of(one)?.first_token_p50_s),
    },
    {
      key: "errors",
      title: told.errors,
      numeric: true,
      value: (one) => of(one)?.errors ?? 0,
      cell: (one) => count(of(one)?.errors ?? 0),
    },
  ];
}
