// The page of one judge: shows two answers, sends a vote, shows the next two.
//
// The token stands behind the `#` of the link and is sent in a header. One request runs at a time.
// Texts are set as text, never as markup.

import { WORDS, firstLanguage, otherLanguage, remember } from "./words.js";

const KEYS = { ArrowLeft: "left", 1: "left", ArrowRight: "right", 2: "right", 0: "tie" };
const UNDO_KEYS = ["u", "Backspace"];
const SHORTCUTS = "lorabay-judge-shortcuts";

const at = (id) => document.getElementById(id);

let language = firstLanguage();
let state = null;
let problem = null;
let running = false;
let lastWish = () => ask("GET", "state");

function words() {
  return WORDS[language];
}

async function ask(method, path, body) {
  if (running) return;
  running = true;
  lastWish = () => ask(method, path, body);
  try {
    const response = await fetch(path, {
      method,
      headers: { Authorization: `Bearer ${location.hash.slice(1)}` },
      body: body && JSON.stringify(body),
    });
    await take(response);
  } catch {
    problem = "offline";
  }
  running = false;
  show();
}

async function take(response) {
  if (response.ok || response.status === 409) {
    state = await response.json();
    problem = response.ok ? null : "elsewhere";
  } else {
    problem = response.status === 401 ? "stranger" : "unkept";
  }
}

async function vote(choice) {
  if (running || !state?.showing) return;
  mark(choice);
  await ask("POST", "votes", { place: state.showing.place, choice });
  mark(null);
  begin();
}

async function undo() {
  if (running || !state?.done) return;
  await ask("POST", "undo");
  begin();
}

function mark(choice) {
  for (const side of ["left", "right"]) {
    at(side).classList.toggle("chosen", choice === side || choice === "tie");
  }
  for (const button of document.querySelectorAll("[data-choice]")) {
    button.classList.toggle("chosen", button.dataset.choice === choice);
  }
}

// After a vote, people read from the top again, and a screen reader from the question.
function begin() {
  if (problem && problem !== "elsewhere") return;
  scrollTo(0, 0);
  at(state.showing ? "question-heading" : "finished-heading").focus({ preventScroll: true });
}

function show() {
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  document.title = words().title;
  for (const element of document.querySelectorAll("[data-word]")) {
    element.textContent = words()[element.dataset.word];
  }
  at("language").textContent = WORDS[otherLanguage(language)].name;
  at("language").lang = otherLanguage(language);

  at("problem").hidden = problem === null;
  at("problem-text").textContent = problem ? words()[problem] : "";
  at("retry").hidden = problem === "stranger" || problem === "elsewhere";
  if (state) showState();
}

function showState() {
  const { judge, done, total, showing } = state;
  at("judge").textContent = judge;
  at("count").textContent = words().count(done, total);
  at("progress").max = total;
  at("progress").value = done;
  at("status").textContent = showing ? words().next(done + 1, total) : words().finished;

  at("comparison").hidden = !showing;
  at("finished").hidden = Boolean(showing);
  at("choices").hidden = !showing;
  at("votes").hidden = false;
  at("undo").setAttribute("aria-disabled", String(done === 0));
  if (showing) showComparison(showing);
}

function showComparison({ messages, left, right }) {
  const told = messages.filter(({ role }) => role === "system");
  at("system").hidden = told.length === 0;
  at("system-text").textContent = told.map(({ content }) => content).join("\n\n");

  const spoken = messages.filter(({ role }) => role !== "system");
  at("messages").replaceChildren(...spoken.map((one) => bubble(one, spoken.length > 1)));
  showAnswer("left", left);
  showAnswer("right", right);
}

function bubble({ role, content }, several) {
  const item = document.createElement("li");
  item.className = role;
  if (several) {
    const speaker = document.createElement("span");
    speaker.className = "unseen";
    speaker.textContent = `${words()[role]}: `;
    item.append(speaker);
  }
  const text = document.createElement("p");
  text.className = "text";
  text.dir = "auto";
  text.textContent = content;
  item.append(text);
  return item;
}

function showAnswer(side, text) {
  const place = at(side).querySelector(".text");
  place.textContent = text || words().empty;
  place.classList.toggle("empty", !text);
}

function press(event) {
  const typed = event.ctrlKey || event.metaKey || event.altKey || event.shiftKey || event.repeat;
  if (typed || !at("shortcuts").checked) return;

  const choice = KEYS[event.key];
  if (!choice && !UNDO_KEYS.includes(event.key)) return;
  event.preventDefault();
  if (choice) vote(choice);
  else undo();
}

function showShortcuts() {
  document.body.classList.toggle("without-shortcuts", !at("shortcuts").checked);
}

addEventListener("keydown", press);
addEventListener("hashchange", () => ask("GET", "state"));
at("retry").addEventListener("click", () => lastWish());
at("undo").addEventListener("click", undo);
at("language").addEventListener("click", () => {
  language = otherLanguage(language);
  remember(language);
  show();
});
at("shortcuts").addEventListener("change", () => {
  localStorage.setItem(SHORTCUTS, at("shortcuts").checked ? "on" : "off");
  showShortcuts();
});
for (const button of document.querySelectorAll("[data-choice]")) {
  button.addEventListener("click", () => vote(button.dataset.choice));
}

at("shortcuts").checked = localStorage.getItem(SHORTCUTS) !== "off";
showShortcuts();
show();
ask("GET", "state");
