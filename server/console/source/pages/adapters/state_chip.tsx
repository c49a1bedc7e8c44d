// The state of an adapter, in a colour that says whether somebody should look.
import { Chip } from "../../parts/chip";
import type { Adapter } from "../../server";
import { words } from "../../words/words";

const TONES: Record<Adapter["state"], string> = {
  ready: "good",
  loading: "busy",
  pending: "busy",
  draining: "busy",
  rejected: "bad",
  failed: "bad",
  removed: "plain",
};

export function StateChip({ adapter }: { adapter: Adapter }) {
  return (
    <span class="row tight">
      <Chip text={words.value.states[adapter.state]} tone={TONES[adapter.state]} />
      {adapter.pinned && <Chip text={words.value.pinned} />}
    </span>
  );
}
