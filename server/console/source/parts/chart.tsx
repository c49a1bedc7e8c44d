// Curves over time, drawn by uPlot. Their figures are also told in words, for who cannot see them.
import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clock, minute, NOTHING } from "../figures";
import { language, theme } from "../preferences";
import { words } from "../words/words";

export interface Curve {
  label: string;
  values: (number | null)[];
}

interface Props {
  title: string;
  // Of the figures at the axis, unless they tell it themselves.
  unit?: string;
  // Seconds since 1970, one for each value of a curve.
  times: number[];
  curves: Curve[];
  tell: (value: number | null) => string;
  // The least that the axis reaches to, so that nothing is drawn as nothing.
  least: number;
  bars?: boolean;
}

const HEIGHT_PX = 180;
const COLOURS = {
  light: ["#0b5c6b", "#b4530a", "#6b21a8", "#15703c", "#a3123f", "#3b4cc0"],
  dark: ["#5fd3e3", "#f2a65a", "#c79bf2", "#6fd69a", "#f58aa8", "#9aa8ff"],
};

export function Chart({ title, unit, times, curves, tell, least, bars = false }: Props) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const shape = [language.value, theme.value, ...curves.map((curve) => curve.label)].join("\n");
  const data = [times, ...curves.map((curve) => curve.values)] as uPlot.AlignedData;

  useEffect(() => {
    const frame = place.current!;
    const made = new uPlot(options(frame, curves, tell, least, bars), data, frame);
    const observer = new ResizeObserver(() => {
      made.setSize({ width: frame.clientWidth, height: HEIGHT_PX });
    });
    observer.observe(frame);
    plot.current = made;
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [shape]);

  useEffect(() => {
    plot.current?.setData(data);
  });

  return (
    <figure class="panel chart">
      <figcaption>
        {title} {unit && <span class="hint">({unit})</span>}
      </figcaption>
      <div ref={place} aria-hidden="true" />
      <p class="unseen">{curves.map((curve) => `${curve.label}: ${tell(curve.values.at(-1) ?? null)}`).join("; ")}</p>
    </figure>
  );
}

function options(
  place: HTMLElement,
  curves: Curve[],
  tell: Props["tell"],
  least: number,
  bars: boolean,
): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(name).trim();
  const axis = { stroke: colour("--chart-text"), grid: { stroke: colour("--chart-line"), width: 1 } };
  return {
    width: place.clientWidth,
    height: HEIGHT_PX,
    scales: { y: { range: (_plot, _low, high) => [0, Math.max(high * 1.1, least)] } },
    axes: [
      { ...axis, size: 30, values: (_plot, ticks) => ticks.map(minute) },
      { ...axis, size: 62, values: (_plot, ticks) => ticks.map((tick) => tell(tick)) },
    ],
    series: [
      { label: words.value.when, value: (_plot, when) => (when == null ? NOTHING : clock(when)) },
      ...curves.map((curve, number) => series(curve, number, tell, bars)),
    ],
  };
}

function series(curve: Curve, number: number, tell: Props["tell"], bars: boolean): uPlot.Series {
  const stroke = COLOURS[theme.value][number % COLOURS.light.length]!;
  return {
    label: curve.label,
    stroke,
    width: 2,
    spanGaps: false,
    points: { size: 5, filter: (plot, at, show) => (show ? null : lonely(plot.data[at]!)) },
    fill: bars ? `${stroke}99` : undefined,
    paths: bars ? uPlot.paths.bars!({ size: [0.8, 20] }) : undefined,
    value: (_plot, value) => tell(value),
  };
}

// The places of values between two that are missing: no line leads to them.
function lonely(values: ArrayLike<number | null | undefined>): number[] {
  const places = Array.from(values, (_, place) => place);
  return places.filter(
    (place) => values[place] != null && values[place - 1] == null && values[place + 1] == null,
  );
}
