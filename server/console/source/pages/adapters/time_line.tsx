// The versions of an adapter, the live one first, each with what it changed and the way back to it.
import { bytes, timeOf } from "../../figures";
import { Button } from "../../parts/button";
import { Chip } from "../../parts/chip";
import { tellDone } from "../../parts/notices";
import { isSure } from "../../parts/question";
import { answered, server, type Adapter, type Version } from "../../server";
import { put } from "../../stores/adapters";
import { words } from "../../words/words";
import { differences, shortVersion } from "./versions";

export function TimeLine({ adapter }: { adapter: Adapter }) {
  return (
    <section class="panel">
      <h2>{words.value.versions}</h2>
      <p class="hint">
        {adapter.versions.length === 0 ? words.value.noVersions : words.value.versionsHint}
      </p>
      <ol class="time-line">
        {adapter.versions.map((version, place) => (
          <Entry
            key={version.digest}
            adapter={adapter}
            version={version}
            before={adapter.versions[place + 1]}
          />
        ))}
      </ol>
    </section>
  );
}

interface EntryProps {
  adapter: Adapter;
  version: Version;
  before: Version | undefined;
}

function Entry({ adapter, version, before }: EntryProps) {
  const told = words.value;

  async function rollBack(): Promise<void> {
    const short = shortVersion(version.id);
    // What was live when this was decided: should somebody else have changed it meanwhile, the
    // server says so and does nothing.
    const body = { version: version.digest, seen: adapter.live };
    if (!(await isSure(told.rollbackSure(short), told.makeLive))) return;

    const params = { path: { name: adapter.name } };
    put(await answered(server.POST("/admin/adapters/{name}/rollback", { params, body })));
    tellDone(told.done);
  }

  return (
    <li class={version.live ? "live" : undefined}>
      <div class="row spread">
        <span class="row tight">
          <code>{shortVersion(version.id)}</code>
          {version.live && <Chip text={told.isLive} tone="good" />}
          <Chip text={told.levels[version.level]} />
          {version.leases > 0 && <Chip text={told.runningNow(version.leases)} tone="busy" />}
          {version.approximate != null && <Chip text={told.approximate} tone="busy" />}
        </span>
        {!version.live && adapter.live && (
          <Button role="operator" act={rollBack}>
            {told.makeLive}
          </Button>
        )}
      </div>
      <p class="hint">
        {version.format} · {told.rank} {version.rank} · {told.alpha} {version.alpha} ·{" "}
        {bytes(version.size_bytes)} · {version.modules.join(", ")}
      </p>
      <p class="hint">
        {told.lastUsed}
        {told.colon}
        {version.last_used ? timeOf(version.last_used) : told.never}
      </p>
      {version.warnings.map((warning) => (
        <p key={warning} class="warning">
          {warning}
        </p>
      ))}
      <Changes before={before} after={version} />
    </li>
  );
}

function Changes({ before, after }: { before: Version | undefined; after: Version }) {
  const told = words.value;
  if (!before) return <p class="hint">{told.firstKept}</p>;

  const changed = differences(before, after);
  return (
    <details>
      <summary>{told.changedFrom(shortVersion(before.id))}</summary>
      {changed.length === 0 ? (
        <p class="hint">{told.sameFacts}</p>
      ) : (
        <dl class="changes">
          {changed.map((one) => (
            <div key={one.what}>
              <dt>{one.what}</dt>
              <dd>
                <del>{one.before}</del> → <ins>{one.after}</ins>
              </dd>
            </div>
          ))}
        </dl>
      )}
    </details>
  );
}
