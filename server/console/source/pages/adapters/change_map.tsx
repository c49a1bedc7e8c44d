// What a version changes in the base, by layer and module, or how far two versions are apart. Each
// cell tells its figure: its colour only helps to find the large ones.
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { Button } from "../../parts/button";
import { Choice } from "../../parts/choice";
import { Newest } from "../../parts/newest";
import { NOTHING } from "../../figures";
import { answered, server, type Adapter, type Schemas } from "../../server";
import { words } from "../../words/words";
import { shortVersion } from "./versions";

type Change = Schemas["ChangeAnswer"];
type Cells = Map<string, number>;

const STEPS = 5;

export function ChangeMap({ adapter }: { adapter: Adapter }) {
  const told = words.value;
  const chosen = useSignal("");
  const other = useSignal("");
  const change = useSignal<Change | null>(null);
  const newest = useRef(new Newest());

  // The live one, until somebody chooses another.
  const version = chosen.value || (adapter.versions[0]?.digest ?? "");

  async function measure(): Promise<void> {
    const query = { version, ...(other.value && { other: other.value }) };
    const params = { path: { name: adapter.name }, query };
    const answer = await newest.current.ask((signal) =>
      answered(server.GET("/admin/adapters/{name}/change", { params, signal })),
    );
    if (answer) change.value = answer;
  }

  if (adapter.versions.length === 0) return null;
  const options = adapter.versions.map((one) => ({ value: one.digest, text: shortVersion(one.id) }));
  return (
    <section class="panel change">
      <h2>{told.changeMap}</h2>
      <p class="hint">{told.changeMapHint}</p>
      <div class="row low">
        <Choice label={told.version} value={version} options={options} change={(one) => (chosen.value = one)} />
        <Choice
          label={told.comparedWith}
          value={other.value}
          options={[{ value: "", text: told.base }, ...options.filter((one) => one.value !== version)]}
          change={(one) => (other.value = one)}
        />
        <Button act={measure}>{told.measure}</Button>
      </div>
      {change.value && <HeatMap change={change.value} />}
    </section>
  );
}

function HeatMap({ change }: { change: Change }) {
  const told = words.value;
  const figure = (one: Change["modules"][number]) => (change.other ? (one.distance ?? 0) : one.norm);
  const cells: Cells = new Map(change.modules.map((one) => [key(one.layer, one.module), figure(one)]));
  const layers = [...new Set(change.modules.map((one) => one.layer))];
  const modules = [...new Set(change.modules.map((one) => one.module))];
  const largest = Math.max(...cells.values(), 0);
  const title = change.other
    ? told.distanceOf(shortVersion(change.version), shortVersion(change.other))
    : told.changeOf(shortVersion(change.version));

  return (
    <>
      <div class="heat" tabIndex={0} role="region" aria-label={title}>
        <table>
          <caption>{title}</caption>
          <thead>
            <tr>
              <th scope="col">{told.layer}</th>
              {modules.map((module) => (
                <th key={module} scope="col" class="number" title={module}>
                  {module.slice(module.lastIndexOf(".") + 1)}
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {layers.map((layer) => (
              <tr key={String(layer)}>
                <th scope="row">{layer ?? NOTHING}</th>
                {modules.map((module) => (
                  <Cell key={module} value={cells.get(key(layer, module))} largest={largest} />
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      <Legend largest={largest} />
      {change.scales_outputs && <p class="hint">{told.scalesOutputs}</p>}
    </>
  );
}

function Cell({ value, largest }: { value: number | undefined; largest: number }) {
  if (value === undefined) return <td class="number hint">{NOTHING}</td>;
  return <td class={`number heat-${step(value, largest)}`}>{short(value)}</td>;
}

function Legend({ largest }: { largest: number }) {
  const bound = (number: number) => short((largest * number) / STEPS);
  return (
    <ul class="row tight legend" aria-label={words.value.legend}>
      {Array.from({ length: STEPS }, (_, number) => (
        <li key={number} class={`heat-${number}`}>
          {bound(number)} – {bound(number + 1)}
        </li>
      ))}
    </ul>
  );
}

function key(layer: number | null, module: string): string {
  return `${layer} ${module}`;
}

function step(value: number, largest: number): number {
  return largest === 0 ? 0 : Math.min(STEPS - 1, Math.floor((value / largest) * STEPS));
}

// Three digits are enough to compare, and narrow enough for seven columns.
function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
