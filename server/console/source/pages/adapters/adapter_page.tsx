// One adapter: how it is, what it can be told to do, its versions, its card, and what happened.
import { useSignal } from "@preact/signals";
import { Empty } from "../../parts/empty";
import { Markdown } from "../../parts/markdown";
import { useLook } from "../../parts/use_look";
import { address } from "../../route";
import { answered, server } from "../../server";
import { adapters } from "../../stores/adapters";
import { words } from "../../words/words";
import { AdapterActions } from "./adapter_actions";
import { ChangeMap } from "./change_map";
import { Happened } from "./happened";
import { Reasons } from "./reasons";
import { RolloutPanel } from "./rollout_panel";
import { StateChip } from "./state_chip";
import { TimeLine } from "./time_line";

export function AdapterPage({ name }: { name: string }) {
  if (!adapters.value) return <p class="hint">{words.value.loading}</p>;

  const adapter = adapters.value.find((one) => one.name === name);
  if (!adapter) {
    return (
      <Empty title={words.value.gone(name)}>
        <a href={address("adapters")}>{words.value.back}</a>
      </Empty>
    );
  }
  return (
    <>
      <p>
        <a href={address("adapters")}>← {words.value.back}</a>
      </p>
      <div class="row spread">
        <h1>
          {adapter.name} <StateChip adapter={adapter} />
        </h1>
        <AdapterActions adapter={adapter} />
      </div>
      {adapter.rolled_back && <p class="banner">{words.value.rolledBack}</p>}
      <Reasons adapter={adapter} />
      <div class="two">
        <div>
          <TimeLine adapter={adapter} />
          <RolloutPanel adapter={adapter} />
          <ChangeMap adapter={adapter} />
        </div>
        <div>
          <Card name={name} />
          <Happened name={name} />
        </div>
      </div>
    </>
  );
}

function Card({ name }: { name: string }) {
  const card = useSignal<string | null | undefined>(undefined);

  useLook(async () => {
    const params = { path: { name } };
    card.value = (await answered(server.GET("/admin/adapters/{name}/card", { params }))).card;
  }, [name]);

  return (
    <section class="panel">
      <h2>{words.value.card}</h2>
      {card.value === undefined ? (
        <p class="hint">{words.value.loading}</p>
      ) : card.value ? (
        <Markdown text={card.value} />
      ) : (
        <p class="hint">{words.value.noCard}</p>
      )}
    </section>
  );
}
