// Shows Markdown that strangers wrote. It is built from text nodes alone: whatever is markup in it
// stays text, pictures are only named, and links lead to web pages or nowhere.
import { lexer, type Token, type Tokens } from "marked";
import type { ComponentChildren } from "preact";

export function Markdown({ text }: { text: string }) {
  return <div class="markdown" tabIndex={0}>{lexer(withoutHead(text)).map(block)}</div>;
}

// Cards of the hub begin with settings between two lines of dashes.
function withoutHead(text: string): string {
  return text.replace(/^---\n[\s\S]*?\n---\n/, "");
}

function block(token: Token): ComponentChildren {
  switch (token.type) {
    case "heading":
      return <Heading depth={token.depth as number}>{inside(token)}</Heading>;
    case "paragraph":
      return <p>{inside(token)}</p>;
    case "list":
      return list(token as Tokens.List);
    case "code":
      return <pre tabIndex={0}>{(token as Tokens.Code).text}</pre>;
    case "blockquote":
      return <blockquote>{((token as Tokens.Blockquote).tokens ?? []).map(block)}</blockquote>;
    case "table":
      return table(token as Tokens.Table);
    case "hr":
      return <hr />;
    case "space":
      return null;
    case "text":
      return <span>{inside(token)}</span>;
    default:
      return <p>{token.raw}</p>;
  }
}

// Below the headings of the page itself.
function Heading({ depth, children }: { depth: number; children: ComponentChildren }) {
  return depth <= 1 ? <h3>{children}</h3> : depth === 2 ? <h4>{children}</h4> : <h5>{children}</h5>;
}

function list(token: Tokens.List): ComponentChildren {
  const items = token.items.map((item, place) => <li key={place}>{item.tokens.map(block)}</li>);
  return token.ordered ? <ol>{items}</ol> : <ul>{items}</ul>;
}

function table(token: Tokens.Table): ComponentChildren {
  const cells = (row: Tokens.TableCell[]) => row.map((cell, at) => <td key={at}>{inline(cell.tokens)}</td>);
  return (
    <div class="scroll" tabIndex={0} role="group">
      <table>
        <thead>
          <tr>
            {token.header.map((cell, at) => (
              <th key={at} scope="col">
                {inline(cell.tokens)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {token.rows.map((row, at) => (
            <tr key={at}>{cells(row)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function inside(token: Token): ComponentChildren {
  const tokens = (token as { tokens?: Token[] }).tokens;
  return tokens ? inline(tokens) : textOf(token);
}

function inline(tokens: Token[]): ComponentChildren[] {
  return tokens.map(span);
}

function span(token: Token): ComponentChildren {
  switch (token.type) {
    case "strong":
      return <strong>{inside(token)}</strong>;
    case "em":
      return <em>{inside(token)}</em>;
    case "codespan":
      return <code>{(token as Tokens.Codespan).text}</code>;
    case "br":
      return <br />;
    case "link":
      return link(token as Tokens.Link);
    case "image":
      return `[${(token as Tokens.Image).text}]`;
    case "html":
      return token.raw;
    default:
      return inside(token);
  }
}

function link(token: Tokens.Link): ComponentChildren {
  if (!/^https?:\/\//i.test(token.href)) return inline(token.tokens);
  return (
    <a href={token.href} target="_blank" rel="noopener noreferrer">
      {inline(token.tokens)}
    </a>
  );
}

function textOf(token: Token): string {
  return (token as { text?: string }).text ?? token.raw;
}
