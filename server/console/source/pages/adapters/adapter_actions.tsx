// What can be done with an adapter; each verb is the server's own.
import { useSignal } from "@preact/signals";
import { Button } from "../../parts/button";
import { tellDone } from "../../parts/notices";
import { isSure } from "../../parts/question";
import { address } from "../../route";
import { answered, server, type Adapter } from "../../server";
import { lookAtAdapters, put } from "../../stores/adapters";
import { words } from "../../words/words";
import { UploadDialog } from "../uploads/upload_dialog";

export function AdapterActions({ adapter }: { adapter: Adapter }) {
  const { name } = adapter;
  const params = { params: { path: { name } } };
  const told = words.value;
  const isSending = useSignal(false);

  async function pin(): Promise<void> {
    const call = adapter.pinned
      ? server.POST("/admin/adapters/{name}/unpin", params)
      : server.POST("/admin/adapters/{name}/pin", params);
    await answered<unknown>(call);
    await lookAtAdapters();
  }

  async function preload(): Promise<void> {
    put(await answered(server.POST("/admin/adapters/{name}/preload", params)));
    tellDone(told.done);
  }

  async function unload(): Promise<void> {
    if (!(await isSure(told.unloadSure(name), told.unload, "danger"))) return;
    await answered(server.POST("/admin/adapters/{name}/unload", params));
    await lookAtAdapters();
  }

  return (
    <div class="row">
      {adapter.live && (
        <a class="button main" href={`${address("playground")}?ask=${encodeURIComponent(name)}`}>
          {told.ask}
        </a>
      )}
      <Button role="operator" act={() => (isSending.value = true)}>
        {told.newVersion}
      </Button>
      <Button role="operator" act={pin}>
        {adapter.pinned ? told.unpin : told.pin}
      </Button>
      <Button role="operator" act={preload} disabled={!adapter.live}>
        {told.preload}
      </Button>
      <Button role="operator" kind="danger" act={unload} disabled={!adapter.live}>
        {told.unload}
      </Button>
      {isSending.value && <UploadDialog of={name} close={() => (isSending.value = false)} />}
    </div>
  );
}
