// Every key: whose it is, what it may use, and the ways to renew and to end it.
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { time } from "../../figures";
import { Button } from "../../parts/button";
import { Chip } from "../../parts/chip";
import { Empty } from "../../parts/empty";
import { Newest } from "../../parts/newest";
import { isSure } from "../../parts/question";
import { Table, type Column } from "../../parts/table";
import { useLook } from "../../parts/use_look";
import { answered, server, type Key } from "../../server";
import { words } from "../../words/words";
import { limitsOf } from "./limits";
import { NewKeyDialog } from "./new_key_dialog";
import { ShownKeyDialog } from "./shown_key_dialog";

const TONES = { active: "good", expired: "busy", revoked: "bad" };

export function KeysTab() {
  const keys = useSignal<Key[] | undefined>(undefined);
  const isMaking = useSignal(false);
  const secret = useSignal("");
  const newest = useRef(new Newest());
  const told = words.value;

  async function look(): Promise<void> {
    const answer = await newest.current.ask((signal) => answered(server.GET("/admin/keys", { signal })));
    if (answer) keys.value = answer.keys;
  }

  useLook(look, []);

  async function rotate(key: Key): Promise<void> {
    if (!(await isSure(told.rotateSure(key.name), told.rotate))) return;
    const params = { path: { key: key.id } };
    secret.value = (await answered(server.POST("/admin/keys/{key}/rotate", { params }))).key;
    await look();
  }

  async function revoke(key: Key): Promise<void> {
    if (!(await isSure(told.revokeSure(key.name), told.revoke, "danger"))) return;
    await answered(server.POST("/admin/keys/{key}/revoke", { params: { path: { key: key.id } } }));
    await look();
  }

  async function made(text: string): Promise<void> {
    isMaking.value = false;
    secret.value = text;
    await look();
  }

  return (
    <>
      <div class="row end">
        <Button kind="main" role="owner" act={() => (isMaking.value = true)}>
          {told.newKey}
        </Button>
      </div>
      {!keys.value && <p class="hint">{told.loading}</p>}
      {keys.value?.length === 0 && <Empty title={told.noKeys} hint={told.noKeysHint} />}
      {keys.value && keys.value.length > 0 && (
        <Table
          label={told.keys}
          rows={keys.value}
          columns={columns(rotate, revoke)}
          name={(key) => key.id}
          sortedBy="name"
        />
      )}
      {isMaking.value && <NewKeyDialog made={made} close={() => (isMaking.value = false)} />}
      {secret.value && <ShownKeyDialog text={secret.value} close={() => (secret.value = "")} />}
    </>
  );
}

type Verb = (key: Key) => Promise<void>;

function columns(rotate: Verb, revoke: Verb): Column<Key>[] {
  const told = words.value;
  return [
    { key: "name", title: told.name, value: (key) => key.name, cell: (key) => key.name },
    { key: "id", title: "ID", value: (key) => key.id, cell: (key) => <code>{key.id}</code> },
    { key: "tenant", title: told.tenant, value: (key) => key.tenant, cell: (key) => key.tenant },
    {
      key: "state",
      title: told.state,
      value: (key) => key.state,
      cell: (key) => <Chip text={told.keyStates[key.state]} tone={TONES[key.state]} />,
    },
    {
      key: "adapters",
      title: told.mayUse,
      value: (key) => key.adapters.join(", "),
      cell: (key) => key.adapters.join(", ") || told.all,
    },
    { key: "limits", title: told.limits, cell: limitsOf },
    {
      key: "expires",
      title: told.expires,
      value: (key) => key.expires_at,
      cell: (key) => (key.expires_at ? time(key.expires_at) : told.neverExpires),
    },
    {
      key: "made",
      title: told.made,
      value: (key) => key.created_at,
      cell: (key) => `${time(key.created_at)} · ${key.created_by}`,
    },
    {
      key: "verbs",
      title: "",
      cell: (key) =>
        key.state === "active" && (
          <span class="row tight end">
            <Button role="owner" act={() => rotate(key)}>
              {told.rotate}
            </Button>
            <Button role="owner" kind="danger" act={() => revoke(key)}>
              {told.revoke}
            </Button>
          </span>
        ),
    },
  ];
}
