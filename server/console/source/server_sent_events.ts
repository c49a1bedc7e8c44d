// Reads server-sent events from an answer. The browser's EventSource cannot send our header.

export interface ServerSentEvent {
  kind: string;
  data: string;
}

export async function* eventsOf(response: Response): AsyncGenerator<ServerSentEvent> {
  for await (const events of piecesOf(response)) yield* events;
}

// The events that came together, for whoever would be held up by each.
export async function* piecesOf(response: Response): AsyncGenerator<ServerSentEvent[]> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;

      text += value;
      const blocks = text.split(/\r?\n\r?\n/);
      text = blocks.pop() ?? "";
      yield blocks.map(read).filter((event) => event !== undefined);
    }
  } finally {
    await reader.cancel().catch(() => undefined);
  }
}

function read(block: string): ServerSentEvent | undefined {
  let kind = "message";
  const data: string[] = [];
  for (const line of block.split(/\r?\n/)) {
    if (line.startsWith("event:")) kind = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
  }
  return data.length ? { kind, data: data.join("\n") } : undefined;
}
