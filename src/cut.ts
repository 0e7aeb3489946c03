/** Texts of clients that are repeated to them, or to people: as much of them as there is room for. */

/** The text, or its start with `…` behind it: whole characters that take at most `bytesMax` bytes between JSON's quotes. */
export function cutForJson(text: string, bytesMax: number): string {
  if (text.length <= bytesMax && jsonBytes(text) <= bytesMax) return text
  let [end, bytes] = [0, 0]
  for (const character of text) {
    bytes += jsonBytes(character)
    if (bytes > bytesMax) break
    end += character.length
  }
  return `${text.slice(0, end)}…`
}

function jsonBytes(text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2
}
