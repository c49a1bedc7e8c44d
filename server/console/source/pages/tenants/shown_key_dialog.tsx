// The text of a key, this once.
import { Button } from "../../parts/button";
import { copy } from "../../parts/copying";
import { Dialog } from "../../parts/dialog";
import { words } from "../../words/words";

export function ShownKeyDialog({ text, close }: { text: string; close: () => void }) {
  return (
    <Dialog title={words.value.key} close={close}>
      <p>{words.value.shownOnce}</p>
      <p>
        <code class="secret">{text}</code>
      </p>
      <div class="row end">
        <Button kind="main" act={() => copy(text)}>
          {words.value.copy}
        </Button>
        <Button act={close}>{words.value.close}</Button>
      </div>
    </Dialog>
  );
}
