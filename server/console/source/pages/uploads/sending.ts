// Sends an archive and tells how far it is, which `fetch` cannot.
import { API, MARK, Problem, problemOf, type Schemas } from "../../server";
import { words } from "../../words/words";

export interface Sending {
  done: Promise<Schemas["UploadedAnswer"]>;
  stop: () => void;
}

export interface Parcel {
  name: string;
  content: Blob;
  // The version that is live, or nothing if none is, of an adapter that gets a new one.
  seen?: string;
}

// `told` gets the share that has been sent, from 0 to 1. What fails is a Problem.
export function send({ name, content, seen }: Parcel, told: (share: number) => void): Sending {
  const request = new XMLHttpRequest();
  const done = new Promise<Schemas["UploadedAnswer"]>((resolve, reject) => {
    request.upload.onprogress = (event) => told(event.loaded / event.total);
    request.onload = () => {
      const body = parsed(request.responseText);
      if (request.status === 200) resolve(body as Schemas["UploadedAnswer"]);
      else reject(problemOf(request.status, body));
    };
    request.onerror = () => reject(new Problem(words.value.sendingBroke, 0));
    request.onabort = () => reject(new Problem(words.value.sendingStopped, 0));
  });
  const query = seen === undefined ? "" : `?${new URLSearchParams({ seen })}`;
  request.open("PUT", `${API}/admin/adapters/${encodeURIComponent(name)}${query}`);
  for (const [header, value] of Object.entries(MARK)) request.setRequestHeader(header, value);
  request.setRequestHeader("content-type", "application/octet-stream");
  request.send(content);
  return { done, stop: () => request.abort() };
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
