// Why an adapter, or a former version of it, is not served, and what to do about it.
import { Chip } from "../../parts/chip";
import type { Adapter } from "../../server";
import { advice } from "../../words/advice";
import { words } from "../../words/words";
import { shortVersion } from "./versions";

export function Reasons({ adapter }: { adapter: Adapter }) {
  return (
    <>
      {adapter.reasons.length > 0 && (
        <section class="panel bad">
          <h2>{words.value.whyNot}</h2>
          <ul class="reasons">
            {adapter.reasons.map((reason, place) => (
              <li key={place}>
                <p>
                  <Chip text={reason.code} tone="bad" /> {reason.text}
                </p>
                <p class="hint">
                  {words.value.whatToDo}: {advice(reason.code)}
                </p>
              </li>
            ))}
          </ul>
        </section>
      )}
      {adapter.withheld.length > 0 && (
        <section class="panel">
          <h2>{words.value.withheld}</h2>
          <ul>
            {adapter.withheld.map((one) => (
              <li key={one.digest}>
                <code>{shortVersion(one.digest)}</code> {one.reason}
              </li>
            ))}
          </ul>
        </section>
      )}
    </>
  );
}
