// Line charts as SVG, written by hand: no library, no script, readable on a dark page too (they bring their ground).

const WIDTH = 900
const HEIGHT = 400
const MARGIN = { top: 56, right: 230, bottom: 52, left: 72 }
const PLOT = { width: WIDTH - MARGIN.left - MARGIN.right, height: HEIGHT - MARGIN.top - MARGIN.bottom }
/** Told apart by people who see fewer colours, too (Okabe and Ito). */
const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#555555']
const FONT = 'font-family="system-ui, sans-serif"'
const LABEL_GAP = 16
const TICKS = 6

const escape = (text) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('"', '&quot;')

/** 1 200 → `1.2 k`, 3 000 000 → `3 M`. */
export function short(value) {
  for (const [limit, unit] of [
    [1e6, ' M'],
    [1e3, ' k'],
  ]) {
    if (Math.abs(value) >= limit) return `${Number((value / limit).toPrecision(3))}${unit}`
  }
  return String(Number(value.toPrecision(3)))
}

/** 1, 2 or 5 times a power of ten, so that about `TICKS` of them fill the range. */
function linearTicks(max) {
  const raw = max / TICKS
  const power = 10 ** Math.floor(Math.log10(raw))
  const step = [1, 2, 5, 10].find((factor) => factor * power >= raw) * power
  return Array.from({ length: Math.floor(max / step) + 1 }, (_, index) => index * step)
}

function logTicks(min, max) {
  const ticks = []
  for (let power = Math.floor(Math.log10(min)); power <= Math.ceil(Math.log10(max)); power++)
    ticks.push(10 ** power)
  return ticks
}

/** @returns {{of: (value: number) => number, ticks: number[]}} from values to 0..1 */
function scale({ log = false, ticks, min }, values) {
  const max = Math.max(...values)
  if (!log) {
    const marks = ticks ?? linearTicks(max * 1.02)
    const top = Math.max(max * 1.05, marks.at(-1))
    return { of: (value) => value / top, ticks: marks }
  }
  const marks = ticks ?? logTicks(min ?? Math.min(...values), max)
  const [low, high] = [Math.log(marks[0]), Math.log(Math.max(marks.at(-1), max))]
  return { of: (value) => (Math.log(value) - low) / (high - low), ticks: marks }
}

const x = (share) => (MARGIN.left + share * PLOT.width).toFixed(1)
const y = (share) => (MARGIN.top + (1 - share) * PLOT.height).toFixed(1)

function grid(scales, axes) {
  const right = MARGIN.left + PLOT.width
  const bottom = MARGIN.top + PLOT.height
  const rows = scales.y.ticks.map((tick) => {
    const at = y(scales.y.of(tick))
    return (
      `<path d="M${MARGIN.left} ${at}H${right}" stroke="#e3e3e3"/>` +
      `<text x="${MARGIN.left - 8}" y="${Number(at) + 4}" text-anchor="end">${(axes.y.format ?? short)(tick)}</text>`
    )
  })
  const columns = scales.x.ticks.map((tick) => {
    const at = x(scales.x.of(tick))
    return (
      `<path d="M${at} ${bottom}v5" stroke="#999"/>` +
      `<text x="${at}" y="${bottom + 20}" text-anchor="middle">${(axes.x.format ?? short)(tick)}</text>`
    )
  })
  return [...rows, ...columns, `<path d="M${MARGIN.left} ${bottom}H${right}" stroke="#999"/>`]
}

/** Names stand at the ends of their lines, moved apart where they would touch. */
function labels(lines) {
  const wanted = lines
    .map(({ end }, index) => ({ index, at: end }))
    .toSorted((one, other) => one.at - other.at)
  for (let index = 1; index < wanted.length; index++) {
    wanted[index].at = Math.max(wanted[index].at, wanted[index - 1].at + LABEL_GAP)
  }
  const over = Math.max(0, wanted.at(-1).at - (MARGIN.top + PLOT.height))
  return wanted.map(({ index, at }) => {
    const { name, colour } = lines[index]
    const left = MARGIN.left + PLOT.width + 10
    return `<text x="${left}" y="${(at - over + 4).toFixed(1)}" fill="${colour}">${escape(name)}</text>`
  })
}

/**
 * @param {{title: string, note: string, x: object, y: object, series: {name: string, points: [number, number][], dashed?: boolean, colour?: number}[]}} chart
 *   axes: `label`, `log`, `ticks` (values), `format` (value to text)
 * @returns {string} an SVG document
 */
export function lineChart({ title, note, series, ...axes }) {
  const points = series.flatMap((one) => one.points)
  const scales = {
    x: scale(
      axes.x,
      points.map(([value]) => value),
    ),
    y: scale(
      axes.y,
      points.map(([, value]) => value),
    ),
  }
  const lines = series.map((one, index) => {
    const path = one.points.map(([px, py]) => `${x(scales.x.of(px))} ${y(scales.y.of(py))}`)
    return {
      ...one,
      colour: COLOURS[(one.colour ?? index) % COLOURS.length],
      path: `M${path.join('L')}`,
      end: Number(path.at(-1).split(' ')[1]),
    }
  })
  const drawn = lines.map(({ path, colour, dashed }) => {
    return `<path d="${path}" fill="none" stroke="${colour}" stroke-width="2"${dashed ? ' stroke-dasharray="5 4"' : ''}/>`
  })
  const bottom = HEIGHT - 10
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${escape(title)}" ${FONT} font-size="12" fill="#444">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" rx="8" fill="#fff"/>`,
    `<text x="16" y="24" font-size="15" font-weight="600" fill="#111">${escape(title)}</text>`,
    `<text x="16" y="42">${escape(note)}</text>`,
    ...grid(scales, axes),
    ...drawn,
    ...labels(lines),
    `<text x="${MARGIN.left + PLOT.width / 2}" y="${bottom}" text-anchor="middle">${escape(axes.x.label)}</text>`,
    '</svg>',
  ].join('\n')}\n`
}
