// A rollout: how the canary compares with the live version, and the way to begin and to end one.
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { count, NOTHING, seconds, share } from "../../figures";
import { spans } from "../../following";
import { Button } from "../../parts/button";
import { Chip } from "../../parts/chip";
import { Choice } from "../../parts/choice";
import { isSure } from "../../parts/question";
import { TextField } from "../../parts/text_field";
import { answered, server, type Adapter, type Schemas } from "../../server";
import { lookAtAdapters } from "../../stores/adapters";
import { words } from "../../words/words";
import { shortVersion } from "./versions";

type Rollout = Schemas["RolloutAnswer"];
type Compared = Schemas["ComparedAnswer"];

export function RolloutPanel({ adapter }: { adapter: Adapter }) {
  const told = words.value;
  const rollout = useSignal<Rollout | null>(null);
  const params = { path: { name: adapter.name } };

  const mayBe = adapter.versions.length > 1 || adapter.canary !== null;

  // Anew with each span, and whenever the adapter is another one.
  useEffect(() => {
    if (!mayBe) return;
    answered(server.GET("/admin/adapters/{name}/rollout", { params }))
      .then((answer) => (rollout.value = answer))
      .catch(() => (rollout.value = null));
  }, [adapter, spans.value]);

  async function end(verb: "promote" | "stop", sure: string, name: string): Promise<void> {
    if (!(await isSure(sure, name, verb === "stop" ? "danger" : "main"))) return;
    rollout.value =
      verb === "promote"
        ? await answered(server.POST("/admin/adapters/{name}/rollout/promote", { params }))
        : await answered(server.POST("/admin/adapters/{name}/rollout/stop", { params }));
    await lookAtAdapters();
  }

  const shown = rollout.value;
  const isRunning = shown?.status === "running";
  if (!mayBe) return null;
  return (
    <section class="panel">
      <h2>{told.rollout}</h2>
      {shown && <Progress rollout={shown} />}
      {isRunning ? (
        <div class="row">
          <Button role="operator" kind="main" act={() => end("promote", told.promoteSure(shortVersion(shown.canary)), told.promote)}>
            {told.promote}
          </Button>
          <Button role="operator" kind="danger" act={() => end("stop", told.stopRolloutSure, told.stopRollout)}>
            {told.stopRollout}
          </Button>
        </div>
      ) : (
        <Begin adapter={adapter} begun={(answer) => (rollout.value = answer)} />
      )}
    </section>
  );
}

function Progress({ rollout }: { rollout: Rollout }) {
  const told = words.value;
  const { comparison, guards, answers } = rollout;
  const rows: [string, Compared, (value: number | null) => string, string][] = [
    [told.failures, comparison.failures, percent, limit(guards.failures, told.points)],
    [told.refusals, comparison.refusals, percent, limit(guards.refusals, told.points)],
    [told.firstToken, comparison.first_token_s, seconds, limit(guards.first_token, "×")],
    [told.tokensPerSecond, comparison.tokens_per_s, rounded, limit(guards.speed, "×")],
    [told.tokens, comparison.tokens, rounded, limit(guards.length, "×")],
  ];
  return (
    <>
      <p>
        <Chip text={told.rolloutStates[rollout.status]} tone={TONES[rollout.status]} />{" "}
        <code>{shortVersion(rollout.canary)}</code> · {told.shareOfClients}
        {told.colon}
        {rollout.share} % · {told.steps}
        {told.colon}
        {rollout.steps.join(", ")}
      </p>
      {rollout.reason && <p class="problem">{rollout.reason}</p>}
      <div class="scroll" tabIndex={0} role="region" aria-label={told.rollout}>
        <table>
          <thead>
            <tr>
              <th scope="col">{told.figure}</th>
              <th scope="col" class="number">{told.isLive}</th>
              <th scope="col" class="number">{told.canary}</th>
              <th scope="col" class="number">{told.guard}</th>
            </tr>
          </thead>
          <tbody>
            <tr>
              <th scope="row">{told.answers}</th>
              <td class="number">{count(answers.live)}</td>
              <td class="number">{count(answers.canary)}</td>
              <td class="number">{NOTHING}</td>
            </tr>
            {rows.map(([name, compared, tell, guard]) => (
              <tr key={name}>
                <th scope="row">{name}</th>
                <td class="number">{tell(compared.live)}</td>
                <td class="number">{tell(compared.canary)}</td>
                <td class="number">{guard}</td>
              </tr>
            ))}
          </tbody>
        </table>
      </div>
    </>
  );
}

const TONES: Record<Rollout["status"], string> = {
  running: "busy",
  promoted: "good",
  rolled_back: "bad",
  stopped: "plain",
  overtaken: "plain",
};

interface BeginProps {
  adapter: Adapter;
  begun: (rollout: Rollout) => void;
}

function Begin({ adapter, begun }: BeginProps) {
  const told = words.value;
  const version = useSignal("");
  const part = useSignal("10");
  const others = adapter.versions.filter((one) => !one.live);
  if (others.length === 0) return null;

  async function begin(): Promise<void> {
    const params = { path: { name: adapter.name } };
    const body = {
      version: version.value || others[0]!.digest,
      share: Number(part.value),
      by: "user",
      guards: {},
      seen: adapter.live,
    };
    begun(await answered(server.POST("/admin/adapters/{name}/rollout", { params, body })));
    await lookAtAdapters();
  }

  return (
    <div class="row low">
      <Choice
        label={told.canary}
        value={version.value || others[0]!.digest}
        options={others.map((one) => ({ value: one.digest, text: shortVersion(one.id) }))}
        change={(one) => (version.value = one)}
      />
      <TextField
        label={`${told.shareOfClients} (%)`}
        type="number"
        min="0"
        step="any"
        value={part.value}
        change={(text) => (part.value = text)}
      />
      <Button role="operator" act={begin}>
        {told.beginRollout}
      </Button>
    </div>
  );
}

// Shares of a comparison are in percent already.
function percent(value: number | null): string {
  return value === null ? NOTHING : share(value / 100);
}

function rounded(value: number | null): string {
  return value === null ? NOTHING : value.toFixed(1);
}

function limit(value: number | null, unit: string): string {
  return value === null ? NOTHING : `${value} ${unit}`;
}
