/** Is a text an IP address? Own rules (docs/DECODING.md 5), so that no library's opinion decides what is written. */

const V4 = /^(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(?:\.(?!$)|$)){4}$/
const GROUP = /^[0-9A-Fa-f]{1,4}$/
const ADDRESS_LENGTH_MAX = 45
const GROUPS = 8

/** The 16-bit groups that colon-separated text stands for; -1 when it is none. A last part may be IPv4: two groups. */
function groups(text: string, mayEndInV4: boolean): number {
  if (text === '') return 0
  const parts = text.split(':')
  const last = parts.at(-1)!
  const endsInV4 = mayEndInV4 && V4.test(last)
  if (endsInV4) parts.pop()
  if (!parts.every((part) => GROUP.test(part))) return -1
  return parts.length + (endsInV4 ? 2 : 0)
}

function isV6(text: string): boolean {
  const gap = text.indexOf('::')
  if (gap < 0) return groups(text, true) === GROUPS
  const head = groups(text.slice(0, gap), false)
  const tail = groups(text.slice(gap + 2), true)
  return head >= 0 && tail >= 0 && head + tail < GROUPS
}

export function isAddress(text: string): boolean {
  if (text.length > ADDRESS_LENGTH_MAX) return false
  return V4.test(text) || isV6(text)
}
