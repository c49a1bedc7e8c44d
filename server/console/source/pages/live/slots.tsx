// The slots of the device's memory, and which adapter is in each.
import { now } from "../../following";
import { address } from "../../route";
import { words } from "../../words/words";

const SHOWN = 64;

export function Slots() {
  const slots = now.value?.slots;
  if (!slots || slots.count === null) return <p class="hint">{words.value.noSlots}</p>;

  const free = Math.max(0, Math.min(SHOWN, slots.count) - slots.held.length);
  return (
    <section class="panel">
      <h2>
        {words.value.slots} <span class="hint">{words.value.of(slots.held.length, slots.count)}</span>
      </h2>
      <ul class="slots" aria-label={words.value.slotsHint}>
        {slots.held.slice(0, SHOWN).map((name) => (
          <li key={name} class="chip good">
            <a href={address("adapters", name)}>{name}</a>
          </li>
        ))}
        {Array.from({ length: free }, (_, place) => (
          <li key={place} class="chip">
            {words.value.empty}
          </li>
        ))}
      </ul>
    </section>
  );
}
