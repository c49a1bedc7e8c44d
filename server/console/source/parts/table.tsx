// A table that sorts by its columns and draws only the rows in sight, so that a thousand are smooth.
import { useComputed, useSignal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { words } from "../words/words";

export interface Column<Row> {
  key: string;
  title: string;
  cell: (row: Row) => ComponentChildren;
  // What the column is sorted by; without it, it is not sorted by.
  value?: (row: Row) => string | number | null | undefined;
  numeric?: boolean;
}

interface Props<Row> {
  label: string;
  rows: readonly Row[];
  columns: Column<Row>[];
  name: (row: Row) => string;
  sortedBy?: string;
}

const ROW_PX = 41;
const MORE = 8; // Rows that are drawn above and below those in sight.

export function Table<Row>({ label, rows, columns, name, sortedBy = "" }: Props<Row>) {
  const frame = useRef<HTMLDivElement>(null);
  const top = useSignal(0);
  const height = useSignal(600);
  const order = useSignal({ key: sortedBy, down: false });

  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      height.value = entry!.contentRect.height;
    });
    observer.observe(frame.current!);
    return () => observer.disconnect();
  }, []);

  const first = useComputed(() => Math.max(0, Math.floor(top.value / ROW_PX) - MORE));
  const sorted = inOrder(rows, columns, order.value);
  const from = Math.min(first.value, Math.max(0, sorted.length - 1));
  const until = Math.min(sorted.length, from + Math.ceil(height.value / ROW_PX) + 2 * MORE);

  function sort(key: string): void {
    order.value = { key, down: order.value.key === key && !order.value.down };
  }

  return (
    <div
      class="table-frame"
      ref={frame}
      tabIndex={0}
      role="region"
      aria-label={label}
      onScroll={() => (top.value = frame.current!.scrollTop)}
    >
      <table aria-rowcount={sorted.length + 1}>
        <thead>
          <tr aria-rowindex={1}>
            {columns.map((column) => (
              <Heading key={column.key} column={column} order={order.value} sort={sort} />
            ))}
          </tr>
        </thead>
        <tbody>
          <Space rows={from} columns={columns.length} />
          {sorted.slice(from, until).map((row, place) => (
            <tr key={name(row)} aria-rowindex={from + place + 2}>
              {columns.map((column) => (
                <td key={column.key} class={column.numeric ? "number" : undefined}>
                  {column.cell(row)}
                </td>
              ))}
            </tr>
          ))}
          <Space rows={sorted.length - until} columns={columns.length} />
        </tbody>
      </table>
    </div>
  );
}

interface Order {
  key: string;
  down: boolean;
}

interface HeadingProps<Row> {
  column: Column<Row>;
  order: Order;
  sort: (key: string) => void;
}

function Heading<Row>({ column, order, sort }: HeadingProps<Row>) {
  const isSorted = order.key === column.key;
  const direction = order.down ? "descending" : "ascending";
  return (
    <th
      scope="col"
      class={column.numeric ? "number" : undefined}
      aria-sort={isSorted ? direction : undefined}
    >
      {column.value ? (
        <button
          type="button"
          title={words.value.sortBy(column.title)}
          onClick={() => sort(column.key)}
        >
          {column.title}
          <span aria-hidden="true">{isSorted ? (order.down ? " ▾" : " ▴") : ""}</span>
        </button>
      ) : (
        column.title
      )}
    </th>
  );
}

function Space({ rows, columns }: { rows: number; columns: number }) {
  if (rows <= 0) return null;
  return (
    <tr aria-hidden="true" class="space">
      <td colSpan={columns} style={{ height: `${rows * ROW_PX}px` }} />
    </tr>
  );
}

function inOrder<Row>(rows: readonly Row[], columns: Column<Row>[], order: Order): readonly Row[] {
  const value = columns.find((column) => column.key === order.key)?.value;
  if (!value) return rows;

  const sorted = [...rows].sort((one, two) => compare(value(one), value(two)));
  return order.down ? sorted.reverse() : sorted;
}

type Value = string | number | null | undefined;

// What is missing comes first.
function compare(one: Value, two: Value): number {
  if (one == null || two == null) return Number(one != null) - Number(two != null);
  if (typeof one === "number" && typeof two === "number") return one - two;
  return String(one).localeCompare(String(two));
}
