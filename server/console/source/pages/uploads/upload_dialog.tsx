// Adds an adapter: a folder or an archive, dropped or chosen, sent with its progress, and refused
// with every reason.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { bytes, share } from "../../figures";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { tellDone } from "../../parts/notices";
import { TextField } from "../../parts/text_field";
import { address } from "../../route";
import { answered, Problem, server, type Schemas } from "../../server";
import { lookAtAdapters } from "../../stores/adapters";
import { words } from "../../words/words";
import { fromDrop, fromFiles, type Chosen } from "./chosen";
import { send, type Sending } from "./sending";

export function UploadDialog({ close }: { close: () => void }) {
  const told = words.value;
  const allowed = useSignal<Schemas["UploadsAnswer"] | null>(null);
  const chosen = useSignal<Chosen | null>(null);
  const name = useSignal("");
  // From 0 to 1 while something is sent.
  const sent = useSignal<number | null>(null);
  const reasons = useSignal<string[]>([]);
  const sending = useRef<Sending | null>(null);

  useEffect(() => {
    answered(server.GET("/admin/uploads"))
      .then((answer) => (allowed.value = answer))
      .catch((problem: Error) => (reasons.value = [problem.message]));
    // Whoever closes the dialog sends nothing more.
    return () => sending.current?.stop();
  }, []);

  function take(found: Chosen | null): void {
    if (!found || sent.value !== null) return;
    const most = allowed.value?.most_bytes ?? 0;
    reasons.value = found.content.size > most ? [told.tooLarge(bytes(found.content.size), bytes(most))] : [];
    chosen.value = found;
    name.value ||= found.name;
  }

  async function add(event: Event): Promise<void> {
    event.preventDefault();
    const content = chosen.value?.content;
    if (!content || sent.value !== null) return;
    reasons.value = [];
    sent.value = 0;
    sending.current = send(name.value.trim(), content, (part) => (sent.value = part));
    try {
      const { name: added } = await sending.current.done;
      await lookAtAdapters();
      tellDone(told.added(added));
      location.hash = address("adapters", added);
      close();
    } catch (problem) {
      const { message, reasons: all } = problem as Problem;
      reasons.value = all?.length ? all : [message];
    } finally {
      sent.value = null;
    }
  }

  if (allowed.value && !allowed.value.on) {
    return (
      <Dialog title={told.addAdapter} close={close}>
        <p>{allowed.value.reason}</p>
        <div class="row end">
          <Button act={close}>{told.close}</Button>
        </div>
      </Dialog>
    );
  }
  const most = allowed.value?.most_bytes ?? 0;
  const isTooLarge = (chosen.value?.content.size ?? 0) > most;
  return (
    <Dialog title={told.addAdapter} close={close}>
      <form onSubmit={add}>
        <DropZone take={take} />
        <p class="hint">{told.addHint(bytes(most))}</p>
        {chosen.value && (
          <p>
            {told.chosen}: <strong>{chosen.value.name || told.files}</strong> · {bytes(chosen.value.content.size)}
          </p>
        )}
        <TextField
          label={told.name}
          hint={told.adapterNameHint}
          value={name.value}
          change={(text) => (name.value = text)}
          required
        />
        {sent.value !== null && <Progress part={sent.value} />}
        {reasons.value.length > 0 && <Refused reasons={reasons.value} />}
        <div class="row end">
          <Button act={close}>{told.cancel}</Button>
          <Button kind="main" submits act={() => undefined} disabled={!chosen.value || isTooLarge || sent.value !== null}>
            {told.add}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

function DropZone({ take }: { take: (chosen: Chosen | null) => void }) {
  const told = words.value;
  const isOver = useSignal(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  useEffect(() => {
    folder.current!.webkitdirectory = true;
  }, []);

  function over(event: DragEvent): void {
    event.preventDefault();
    isOver.value = event.type === "dragover";
  }

  async function dropped(event: DragEvent): Promise<void> {
    over(event);
    if (event.dataTransfer) take(await fromDrop(event.dataTransfer.items));
  }

  const pick = (event: { currentTarget: HTMLInputElement }) => take(fromFiles([...(event.currentTarget.files ?? [])]));
  return (
    <div
      class={`drop ${isOver.value ? "over" : ""}`}
      role="group"
      aria-label={told.dropHere}
      onDragOver={over}
      onDragLeave={over}
      onDrop={dropped}
    >
      <p>{told.dropHere}</p>
      <div class="row center">
        <Button act={() => folder.current!.click()}>{told.chooseFolder}</Button>
        <Button act={() => files.current!.click()}>{told.chooseArchive}</Button>
      </div>
      <input ref={folder} type="file" hidden aria-label={told.chooseFolder} onChange={pick} />
      <input ref={files} type="file" hidden multiple aria-label={told.chooseArchive} onChange={pick} />
    </div>
  );
}

function Progress({ part }: { part: number }) {
  const told = words.value;
  const text = part < 1 ? `${told.sending}: ${share(part)}` : told.checking;
  return (
    <p role="status">
      <progress max={1} value={part < 1 ? part : undefined} aria-label={told.sending} /> {text}
    </p>
  );
}

function Refused({ reasons }: { reasons: string[] }) {
  return (
    <div class="problem" role="alert">
      <strong>{words.value.notAdded}</strong>
      <ul>
        {reasons.map((reason) => (
          <li key={reason}>{reason}</li>
        ))}
      </ul>
    </div>
  );
}
