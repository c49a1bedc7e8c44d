// Starts the console. Everything else is imported from here.
import { render } from "preact";
import { App } from "./app";
import { takeUpPreferences } from "./preferences";
import "./styles.css";

takeUpPreferences();
render(<App />, document.getElementById("app")!);
