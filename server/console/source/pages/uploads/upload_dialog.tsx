// Adds an adapter, or a new version of one: a folder or an archive, dropped or chosen, sent with its
// progress, and refused with every reason.
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { bytes, share } from "../../figures";
import { Button } from "../../parts/button";
import { Dialog } from "../../parts/dialog";
import { tellDone } from "../../parts/notices";
import { isSure } from "../../parts/question";
import { ReasonList } from "../../parts/reason_list";
import { TextField } from "../../parts/text_field";
import { address } from "../../route";
import { answered, server, type Problem, type Reason, type Schemas } from "../../server";
import { adapters, lookAtAdapters } from "../../stores/adapters";
import { words } from "../../words/words";
import { shortVersion } from "../adapters/versions";
import { fromDrop, fromFiles, type Chosen } from "./chosen";
import { send, type Sending } from "./sending";

// With the element itself, so that nobody is quicker. The types of Preact do not know it.
const OF_FOLDERS = { webkitdirectory: true };

interface Props {
  close: () => void;
  // The adapter that gets a new version; without it, somebody types what it is called.
  of?: string;
}

export function UploadDialog({ close, of }: Props) {
  const told = words.value;
  const allowed = useSignal<Schemas["UploadsAnswer"] | null>(null);
  const chosen = useSignal<Chosen | null>(null);
  const name = useSignal(of ?? "");
  // From 0 to 1 while something is sent.
  const sent = useSignal<number | null>(null);
  const reasons = useSignal<Reason[]>([]);
  const sending = useRef<Sending | null>(null);

  useEffect(() => {
    answered(server.GET("/admin/uploads"))
      .then((answer) => (allowed.value = answer))
      .catch(refuse);
    // Whoever closes the dialog sends nothing more.
    return () => sending.current?.stop();
  }, []);

  const present = adapters.value?.find((one) => one.name === name.value.trim());
  const becomes = (live: string) => told.becomesVersion(name.value.trim(), live);
  const title = of ? told.newVersionOf(of) : told.addAdapter;

  function refuse(problem: unknown): void {
    const { message, reasons: all } = problem as Problem;
    reasons.value = all?.length ? all : [{ text: message }];
  }

  function take(found: Chosen | null): void {
    if (!found || sent.value !== null) return;
    const most = allowed.value?.most_bytes ?? 0;
    const isTooLarge = found.content.size > most;
    reasons.value = isTooLarge ? [{ text: told.tooLarge(bytes(found.content.size), bytes(most)) }] : [];
    chosen.value = found;
    name.value ||= found.name;
  }

  async function add(event: Event): Promise<void> {
    event.preventDefault();
    const content = chosen.value?.content;
    if (!content || sent.value !== null) return;
    reasons.value = [];
    // What is live when this is decided: should somebody else change it meanwhile, the server says
    // so and keeps nothing.
    const seen = present && (present.live ?? "");
    if (present && !(await isSure(told.newVersionSure(present.name, shortVersion(seen!)), told.newVersion))) return;

    sent.value = 0;
    sending.current = send({ name: name.value.trim(), content, seen }, (part) => (sent.value = part));
    try {
      const { name: added } = await sending.current.done;
      await lookAtAdapters();
      tellDone(present ? told.versionSent(added) : told.added(added));
      location.hash = address("adapters", added);
      close();
    } catch (problem) {
      refuse(problem);
    } finally {
      sent.value = null;
    }
  }

  if (allowed.value && !allowed.value.on) {
    return (
      <Dialog title={title} close={close}>
        <p>{told.uploadsOff}</p>
        <p class="hint">
          {told.inDetail}{told.colon}<span lang="en">{allowed.value.reason}</span>
        </p>
        <div class="row end">
          <Button act={close}>{told.close}</Button>
        </div>
      </Dialog>
    );
  }
  const most = allowed.value?.most_bytes ?? 0;
  const isTooLarge = (chosen.value?.content.size ?? 0) > most;
  return (
    <Dialog title={title} close={close}>
      <form onSubmit={add}>
        <DropZone take={take} failed={() => (reasons.value = [{ text: told.notReadable }])} />
        <p class="hint">{told.addHint(bytes(most))}</p>
        {chosen.value && (
          <p>
            {told.chosen}{told.colon}<strong>{chosen.value.name || told.files}</strong> · {bytes(chosen.value.content.size)}
          </p>
        )}
        {!of && (
          <TextField
            label={told.name}
            hint={told.adapterNameHint}
            value={name.value}
            change={(text) => (name.value = text)}
            required
          />
        )}
        {present && (
          <p class={of ? "hint" : "warning"} role="status">
            {(of ? told.liveNow : becomes)(shortVersion(present.live ?? ""))}
          </p>
        )}
        {sent.value !== null && <Progress part={sent.value} />}
        {reasons.value.length > 0 && <Refused reasons={reasons.value} />}
        <div class="row end">
          <Button act={close}>{told.cancel}</Button>
          <Button kind="main" submits act={() => undefined} disabled={!chosen.value || isTooLarge || sent.value !== null}>
            {present ? told.newVersion : told.add}
          </Button>
        </div>
      </form>
    </Dialog>
  );
}

interface DropZoneProps {
  take: (chosen: Chosen | null) => void;
  // Told when what was dropped cannot be read.
  failed: () => void;
}

function DropZone({ take, failed }: DropZoneProps) {
  const told = words.value;
  const isOver = useSignal(false);
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);

  useEffect(() => {
    // A browser would leave the page for a file that falls beside the frame.
    const stay = (event: DragEvent) => event.preventDefault();
    window.addEventListener("dragover", stay);
    window.addEventListener("drop", stay);
    return () => {
      window.removeEventListener("dragover", stay);
      window.removeEventListener("drop", stay);
    };
  }, []);

  function over(event: DragEvent): void {
    event.preventDefault();
    isOver.value = event.type === "dragover";
  }

  async function dropped(event: DragEvent): Promise<void> {
    over(event);
    if (event.dataTransfer) await fromDrop(event.dataTransfer.items).then(take, failed);
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
      <input ref={folder} type="file" {...OF_FOLDERS} hidden aria-label={told.chooseFolder} onChange={pick} />
      <input ref={files} type="file" hidden multiple aria-label={told.chooseArchive} onChange={pick} />
    </div>
  );
}

function Progress({ part }: { part: number }) {
  const told = words.value;
  const text = part < 1 ? `${told.sending}${told.colon}${share(part)}` : told.checking;
  return (
    <p role="status">
      <progress max={1} value={part < 1 ? part : undefined} aria-label={told.sending} /> {text}
    </p>
  );
}

function Refused({ reasons }: { reasons: Reason[] }) {
  return (
    <div class="problem" role="alert">
      <strong>{words.value.notAdded}</strong>
      <ReasonList reasons={reasons} />
    </div>
  );
}
