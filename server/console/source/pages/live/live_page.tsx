// What goes on now, and what went on in the last hour.
import { useSignal } from "@preact/signals";
import { count, seconds, share } from "../../figures";
import { now, spans } from "../../following";
import { Chart } from "../../parts/chart";
import { Choice } from "../../parts/choice";
import { Empty } from "../../parts/empty";
import { words } from "../../words/words";
import { Slots } from "./slots";
import { byGroup, deltas, gauge, wholeHour, type By } from "./curves";

export function LivePage() {
  const by = useSignal<By>("all");
  const told = words.value;
  const hour = wholeHour(spans.value);
  const times = hour.map((span) => span.at);
  const options = (["all", "adapter", "tenant", "key"] as const).map((value) => ({
    value,
    text: told[value],
  }));

  return (
    <>
      <div class="row spread low">
        <h1>{told.live}</h1>
        <Choice label={told.by} value={by.value} options={options} change={(one) => (by.value = one as By)} />
      </div>
      <Numbers />
      <Slots />
      {hour.every((span) => span.all.requests === 0) && (
        <Empty title={told.noFigures} hint={told.noFiguresHint} />
      )}
      <div class="charts">
        <Chart
          title={told.tokens}
          unit={told.tokensPerSecond}
          times={times}
          curves={byGroup(hour, by.value, (figures) => figures.tokens_per_s, 0)}
          tell={rounded}
          least={1}
        />
        <Chart
          title={told.requests}
          unit={told.perTenSeconds}
          times={times}
          curves={byGroup(hour, by.value, (figures) => figures.requests, 0)}
          tell={rounded}
          least={1}
        />
        <Chart
          title={`${told.firstToken} p50`}
          times={times}
          curves={byGroup(hour, by.value, (figures) => figures.first_token_p50_s, null)}
          tell={seconds}
          least={0.01}
        />
        <Chart
          title={`${told.firstToken} p99`}
          times={times}
          curves={byGroup(hour, by.value, (figures) => figures.first_token_p99_s, null)}
          tell={seconds}
          least={0.01}
        />
        <Chart
          title={`${told.running}, ${told.waiting}`}
          unit={told.requests}
          times={times}
          curves={[
            { label: told.running, values: gauge(hour, "running") },
            { label: told.waiting, values: gauge(hour, "waiting") },
          ]}
          tell={rounded}
          least={1}
        />
        <Chart
          title={told.kvCache}
          times={times}
          curves={[{ label: told.kvCache, values: gauge(hour, "kv_cache") }]}
          tell={share}
          least={0.1}
        />
        <Chart
          title={told.loadsAndEvictions}
          unit={told.perTenSeconds}
          times={times}
          curves={[
            { label: told.loads, values: deltas(hour, "loads") },
            { label: told.evictions, values: deltas(hour, "evictions") },
          ]}
          tell={rounded}
          least={1}
          bars
        />
      </div>
    </>
  );
}

function rounded(value: number | null): string {
  return value === null ? "–" : String(Math.round(value * 10) / 10);
}

function Numbers() {
  const told = words.value;
  const gauges = now.value?.gauges ?? {};
  const figures: [string, string][] = [
    [told.running, count(gauges.running)],
    [told.waiting, count(gauges.waiting)],
    [told.kvCache, share(gauges.kv_cache)],
    [told.loads, count(gauges.loads)],
    [told.evictions, count(gauges.evictions)],
    [told.restarts, count(gauges.restarts)],
  ];
  return (
    <dl class="figures">
      {figures.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}
