// Why an adapter, or a former version of it, is not served, and what to do about it.
import { ReasonList } from "../../parts/reason_list";
import type { Adapter } from "../../server";
import { words } from "../../words/words";
import { shortVersion } from "./versions";

export function Reasons({ adapter }: { adapter: Adapter }) {
  return (
    <>
      {adapter.reasons.length > 0 && (
        <section class="panel bad">
          <h2>{adapter.live ? words.value.whyNotNewest : words.value.whyNot}</h2>
          <ReasonList reasons={adapter.reasons} />
        </section>
      )}
      {adapter.withheld.length > 0 && (
        <section class="panel">
          <h2>{words.value.withheld}</h2>
          <ul>
            {adapter.withheld.map((one) => (
              <li key={one.digest}>
                <code>{shortVersion(one.digest)}</code> <span lang="en">{one.reason}</span>
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
